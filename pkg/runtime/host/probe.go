// This file owns the questions what this host can do: it gathers facts, and support.go decides what they mean.

package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/thread"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// Probe finds out what this host offers, by doing what a build does: outside of namespaces it starts a process that enters them and
// tries. It changes nothing, and nothing of it stays.
func Probe() Support {
	f := examine()
	if f.tun = network.TryTun(); f.tun != nil {
		f.pair = network.TryPair(Entered())
	}
	return decide(f)
}

// examine gathers all facts but those about a network.
func examine() facts {
	f := gather()
	if Entered() {
		f.tried = try()
	} else {
		f.tried, f.refused = tryInside()
	}
	return f
}

// facts are what Probe reads from the host.
type facts struct {
	uid     int      // who started this program
	refused *refusal // what was refused on the way into namespaces, or into better ones
	why     *Missing // the same, in the words of a process outside
	tried   tried    // what was tried in them

	noNewPrivs   bool
	effective    uint64 // capabilities; they say something outside of the namespaces only
	bounding     uint64
	filtered     bool     // some filter of system calls is around this process
	container    string   // what kind of container this process is in, or ""
	unmapped     bool     // the user has subordinate ids that the namespace around this process has not
	chrooted     bool     // its root is not that of its mounts
	noProc       bool     // there is no /proc
	profile      string   // the profile of AppArmor by which this process is held, or ""
	apparmor     string   // kernel.apparmor_restrict_unprivileged_userns
	unprivileged string   // kernel.unprivileged_userns_clone (Debian's)
	scope        string   // kernel.yama.ptrace_scope
	maxUserns    string   // user.max_user_namespaces
	mapper       *Missing // newuidmap or newgidmap
	subordinate  *Missing // a range in /etc/subuid or /etc/subgid
	kernel       string   // uname -r
	mountinfo    string
	tun          error // the reason why /dev/net/tun cannot be used
	pair         error // the reason why no pair can be made; looked for only without a tun
	cgroupV2     bool
	controllers  string   // those of the own cgroup, if it is writable
	hierarchies  []string // of version 1, those in which a group can be made
	seccomp      bool
	ptrace       *Missing // the program that Ptrace needs
	lacks        string   // what root may not do here that commands do; looked for only where that decides
	marker       *Missing // the mark of gbuild's own image
}

// gather reads what needs no trial.
func gather() facts {
	f := facts{
		uid:          userOutside(),
		why:          why,
		noNewPrivs:   noNewPrivileges(),
		filtered:     StatusField("Seccomp") == "2",
		container:    containerKind(),
		profile:      heldBy(),
		chrooted:     chrooted(),
		noProc:       !Exists(SelfExe),
		apparmor:     ReadSetting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
		unprivileged: ReadSetting("/proc/sys/kernel/unprivileged_userns_clone"),
		maxUserns:    ReadSetting("/proc/sys/user/max_user_namespaces"),
		scope:        ptraceScope(),
		mountinfo:    ReadSetting("/proc/self/mountinfo"),
		kernel:       ReadSetting("/proc/sys/kernel/osrelease"),
		seccomp:      FiltersCalls,
		ptrace:       missingTracer(),
	}
	f.effective, _ = strconv.ParseUint(StatusField("CapEff"), 16, 64)
	f.bounding, _ = strconv.ParseUint(StatusField("CapBnd"), 16, 64)
	if f.cgroupV2, f.controllers = OwnCgroup(); !f.cgroupV2 {
		f.hierarchies = hierarchies(f.mountinfo, ReadSetting("/proc/self/cgroup"), mayWrite)
	}
	f.marker = ownImage()
	if !Entered() && decideDirect(f) == nil {
		f.lacks = lackingRights()
	}
	if f.uid == 0 {
		return f
	}
	f.mapper = missingMapper()
	for _, kind := range []string{"uid", "gid"} {
		granted, m := subordinateMap("/etc/sub"+kind, f.uid, uint32(f.uid))
		if m != nil {
			f.subordinate = m
			break
		}
		f.unmapped = f.unmapped || !Entered() && !mapsAll("/proc/self/"+kind+"_map", granted[1:])
	}
	return f
}

// mapsAll says whether all of these ids are in the namespace that has the map.
func mapsAll(file string, ids []IDRange) bool {
	have, err := ParseIDMap(ReadSetting(file))
	return err != nil || !slices.ContainsFunc(ids, func(r IDRange) bool {
		return !IsMapped(have, int(r.Outside)) || !IsMapped(have, int(r.Outside+r.Count-1))
	})
}

// missingTracer says that no program is installed that Ptrace needs, or nil.
func missingTracer() *Missing {
	if _, err := exec.LookPath("proot"); err == nil {
		return nil
	}
	return &Missing{What: "proot is not installed", Remedy: "install it: apt-get install proot (Debian, Ubuntu)"}
}

// userOutside is who started this program, as a number that the namespace has in which that was.
func userOutside() int {
	if Entered() {
		return OwnerOutside()
	}
	return os.Geteuid()
}

// StatusField reads a line of /proc/self/status.
func StatusField(name string) string {
	for line := range strings.Lines(ReadSetting("/proc/self/status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// containerKind finds the marks that container engines leave.
func containerKind() string {
	switch {
	case os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return "Kubernetes"
	case Exists("/run/.containerenv"):
		return "podman"
	case Exists("/.dockerenv"):
		return "Docker"
	case os.Getenv("container") != "":
		return os.Getenv("container")
	}
	return ""
}

// heldBy is the profile of AppArmor that is enforced on this process. Other modules have other words in the second file.
func heldBy() string {
	for _, file := range []string{"/proc/self/attr/apparmor/current", "/proc/self/attr/current"} {
		if profile, enforced := strings.CutSuffix(ReadSetting(file), " (enforce)"); enforced {
			return profile
		}
	}
	return ""
}

func ptraceScope() string { return ReadSetting("/proc/sys/kernel/yama/ptrace_scope") }

// probeVar names the descriptor on which a process that tryInside started writes what it tried.
const probeVar = "_GBUILD_PROBE_FD"

// tryInside starts this program in the best namespaces that can be had, where it tries what a sandbox needs.
func tryInside() (t tried, refused *refusal) {
	_ = thread.Run(func() error { // see startBest
		t, refused = tryOnThread()
		return nil
	})
	return t, refused
}

func tryOnThread() (t tried, refused *refusal) {
	r, w, err := os.Pipe()
	if err != nil {
		return tried{}, refusedAt(stepNone, err)
	}
	defer r.Close()
	ways, _ := waysInto(Auto)
	env := append(os.Environ(), probeVar+"=3")
	s, refused := startBest(context.Background(), EnterOptions{Args: []string{"gbuild"}, Env: env, Files: []*os.File{w}}, ways)
	w.Close()
	if s == nil {
		return tried{}, refused
	}
	defer s.gate.Close()
	defer func() { _ = s.cmd.Wait() }()
	if err := json.NewDecoder(r).Decode(&t); err != nil {
		return tried{}, refusedAt(stepNone, fmt.Errorf("trying the namespaces: %w", err))
	}
	return t, refused
}

// runProbe ends this process where tryInside has started it.
func runProbe() {
	fd, err := strconv.Atoi(os.Getenv(probeVar))
	if err != nil {
		return
	}
	os.Unsetenv(probeVar)
	if err := json.NewEncoder(os.NewFile(uintptr(fd), "probe")).Encode(try()); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// lacking names what the host lacks for namespaces, by what was refused; an error that no host is at fault for stays what it is.
func lacking(refused *refusal) error {
	if m := cause(refused); m != nil {
		return m
	}
	return fmt.Errorf("starting this program in its own namespaces: %w", refused.err)
}

// cause is the reason for a refusal. It is nil where the host is not at fault.
func cause(refused *refusal) *Missing {
	f := gather()
	f.refused = refused
	return decideRefusal(f)
}
