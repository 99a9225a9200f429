package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/opencontainers/runc/libcontainer/seccomp"
	"golang.org/x/sys/unix"
)

// Support says for each ability what this host lacks; nil means that it is there.
type Support struct {
	UserNamespaces *Missing // a user and a mount namespace can be made
	Mapping        *Missing // newuidmap and newgidmap are installed (not needed as root)
	Subordinate    *Missing // the user has subordinate ids (not needed as root)
	Overlay        *Missing // overlay can be mounted in a user namespace
	Proc           *Missing // a fresh /proc can be mounted
	Network        *Missing // a network namespace can be made
	Tun            *Missing // /dev/net/tun can be opened, for a private network
	Pair           *Missing // virtual Ethernet devices can be made, for one without a tun; nil, too, where there is one
	Seccomp        *Missing // system calls can be filtered
	Cgroups        *Missing // limits on memory, CPU and processes can be set
	Root           bool     // the caller is root
}

// Isolation is the strongest way in which a sandbox can be made: "root", "rootless", "rootless-single" (one user
// id only, which Enter takes only when told to) or "norun" (none).
func (s Support) Isolation() string {
	switch {
	case s.UserNamespaces != nil || s.Overlay != nil || s.Proc != nil:
		return "norun"
	case s.Root:
		return "root"
	case s.Mapping != nil || s.Subordinate != nil:
		return "rootless-single"
	}
	return "rootless"
}

// facts are what Probe reads from the host; decide turns them into Support without touching anything.
type facts struct {
	uid          int
	clone        error  // from making the namespaces
	network      error  // from making one of the network besides
	apparmor     string // kernel.apparmor_restrict_unprivileged_userns
	unprivileged string // kernel.unprivileged_userns_clone (Debian's)
	maxUserns    string // user.max_user_namespaces
	mapper       *Missing
	subordinate  *Missing
	kernel       string // uname -r
	mountinfo    string
	tun          error
	pair         error // is looked for only without a tun
	cgroupV2     bool
	controllers  string // of the own cgroup, where it is writable
	seccomp      bool
}

// Probe finds out what this host offers. It changes nothing and starts nothing that stays.
func Probe() Support {
	return decide(gather())
}

func gather() facts {
	f := facts{
		uid:          os.Geteuid(),
		clone:        tryNamespaces(0),
		network:      tryNamespaces(unix.CLONE_NEWNET),
		apparmor:     readSetting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
		unprivileged: readSetting("/proc/sys/kernel/unprivileged_userns_clone"),
		maxUserns:    readSetting("/proc/sys/user/max_user_namespaces"),
		mountinfo:    readSetting("/proc/self/mountinfo"),
		kernel:       readSetting("/proc/sys/kernel/osrelease"),
		tun:          tryTun(),
		seccomp:      seccomp.Enabled,
	}
	if f.tun != nil {
		f.pair = tryPair()
	}
	f.cgroupV2, f.controllers = ownCgroup()
	if f.uid == 0 {
		return f
	}
	f.mapper = missingMapper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if _, err := subordinateMap(file, f.uid, uint32(f.uid)); err != nil && !errors.As(err, &f.subordinate) {
			f.subordinate = &Missing{What: err.Error(), Remedy: "make " + file + " readable"}
		}
	}
	return f
}

func readSetting(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// tryNamespaces makes the namespaces for a program that does not exist: where that is all that fails, they were made.
func tryNamespaces(more uintptr) error {
	cmd := exec.Cmd{Path: "/nonexistent", SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | more}}
	err := cmd.Start()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func tryTun() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = unix.IoctlGetUint32(int(f.Fd()), unix.TUNGETFEATURES) // another file may be in its place
	return err
}

// ownCgroup says whether version 2 is mounted, and which controllers the own cgroup could give to children.
func ownCgroup() (v2 bool, controllers string) {
	const mount = "/sys/fs/cgroup"
	var st unix.Statfs_t
	if unix.Statfs(mount, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return false, ""
	}
	own := mount + strings.TrimPrefix(readSetting("/proc/self/cgroup"), "0::")
	if unix.Access(own+"/cgroup.procs", unix.W_OK) != nil {
		return true, ""
	}
	return true, readSetting(own + "/cgroup.controllers")
}

// decide is the pure half of Probe.
func decide(f facts) Support {
	return Support{
		Root:           f.uid == 0,
		UserNamespaces: decideNamespaces(f),
		Mapping:        f.mapper,
		Subordinate:    f.subordinate,
		Overlay:        decideOverlay(f.kernel),
		Proc:           decideProc(f.mountinfo),
		Network:        decideNetwork(f),
		Tun:            decideTun(f.tun),
		Pair:           decidePair(f.pair),
		Seccomp:        decideSeccomp(f.seccomp),
		Cgroups:        decideCgroups(f),
	}
}

func decideNamespaces(f facts) *Missing {
	if f.clone == nil {
		return nil
	}
	m := &Missing{What: "user namespaces cannot be made here", Cause: f.clone}
	switch {
	case f.maxUserns == "0":
		m.Remedy = "run: sudo sysctl -w user.max_user_namespaces=15000"
	case f.unprivileged == "0" && f.uid != 0:
		m.Remedy = "run: sudo sysctl -w kernel.unprivileged_userns_clone=1"
	case f.apparmor == "1" && f.uid != 0:
		m.What = "AppArmor keeps unprivileged programs from using user namespaces"
		m.Remedy = "run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with the rule `userns,`"
	case errors.Is(f.clone, unix.ENOSPC):
		m.Remedy = "too many namespaces are in use or nested; raise user.max_user_namespaces"
	default:
		m.Remedy = "a container or a policy forbids it; in Docker add --security-opt seccomp=unconfined --security-opt apparmor=unconfined, in Kubernetes seccompProfile Unconfined"
	}
	return m
}

// decideOverlay: overlay can be mounted in a user namespace, with userxattr, since Linux 5.11.
func decideOverlay(release string) *Missing {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return nil
	}
	if major > 5 || major == 5 && minor >= 11 {
		return nil
	}
	return &Missing{What: "Linux " + release + " cannot mount overlay in a user namespace", Remedy: "use Linux 5.11 or newer"}
}

// decideProc: the kernel refuses a fresh /proc in a namespace whose own /proc is partly covered.
func decideProc(mountinfo string) *Missing {
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasPrefix(f[4], "/proc/") || f[4] == "/proc/sys/fs/binfmt_misc" {
			continue
		}
		return &Missing{
			What:   "parts of /proc are covered here (" + f[4] + "), so a sandbox cannot have its own",
			Remedy: "in Docker add --security-opt systempaths=unconfined, in Kubernetes hostUsers: false and procMount: Unmasked",
		}
	}
	return nil
}

func decideTun(err error) *Missing {
	if err == nil {
		return nil
	}
	return &Missing{
		What:   "/dev/net/tun cannot be used",
		Remedy: "load the module and let users open it (modprobe tun; chmod 0666 /dev/net/tun), or in a container add --device /dev/net/tun",
		Cause:  err,
	}
}

func decideNetwork(f facts) *Missing {
	if f.network == nil || f.clone != nil { // what keeps all namespaces away is said elsewhere
		return nil
	}
	return noNetworkNamespace(f.network)
}

func noNetworkNamespace(err error) *Missing {
	return &Missing{
		What:   "a network namespace cannot be made",
		Remedy: "raise user.max_net_namespaces, or let the container or policy around gbuild allow unshare(CLONE_NEWNET)",
		Cause:  err,
	}
}

func decidePair(err error) *Missing {
	if err == nil {
		return nil
	}
	return &Missing{What: "virtual Ethernet devices cannot be made", Remedy: "let users open /dev/net/tun, or load what is missing (modprobe -a veth af_packet)", Cause: err}
}

// PrivateNetwork says what keeps a RUN from having a network of its own, or nil.
func (s Support) PrivateNetwork() *Missing {
	if s.Network != nil {
		return s.Network
	}
	if s.Tun == nil || s.Pair == nil {
		return nil
	}
	return missingNetwork(s.Tun, s.Pair)
}

// missingNetwork joins why there is no tun and why there is no pair of devices either.
func missingNetwork(tun, pair error) *Missing {
	m := &Missing{What: "RUN has no network of its own", Cause: fmt.Errorf("%w, and %w", tun, pair)}
	var hinted *Missing
	if errors.As(tun, &hinted) {
		m.Remedy = hinted.Remedy
	}
	return m
}

func decideSeccomp(enabled bool) *Missing {
	if enabled {
		return nil
	}
	return &Missing{What: "this gbuild was built without seccomp, so system calls are not filtered", Remedy: "use a release binary, or build with -tags seccomp"}
}

func decideCgroups(f facts) *Missing {
	if f.cgroupV2 && strings.Contains(f.controllers, "memory") {
		return nil
	}
	if !f.cgroupV2 {
		return &Missing{What: "limits cannot be set with cgroup version 1", Remedy: "boot with systemd.unified_cgroup_hierarchy=1"}
	}
	return &Missing{
		What:   "no cgroup controllers are delegated to this user, so limits cannot be set",
		Remedy: "run under: systemd-run --user --scope -p Delegate=yes",
	}
}

// startFailure names what the host lacks when the child could not be made.
func startFailure(err error) error {
	f := gather()
	if f.clone == nil {
		f.clone = err
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) {
		return decideNamespaces(f)
	}
	return fmt.Errorf("starting this program in its own namespaces: %w", err)
}

// mapFailure names what the host lacks when the ids could not be mapped.
func mapFailure(err error) error {
	var m *Missing
	if errors.As(err, &m) || !errors.Is(err, unix.EPERM) {
		return err
	}
	f := gather()
	f.clone = err
	return decideNamespaces(f)
}
