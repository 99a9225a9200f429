// This file owns what the facts about a host mean: which abilities it has, what each of the others lacks, and what adds it. It
// touches nothing.

package runtime

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// Support says for each ability what this host lacks; nil means that it is there.
type Support struct {
	UserNamespaces *Missing // a user and a mount namespace can be made
	Mapping        *Missing // newuidmap and newgidmap are installed (not needed as root)
	Subordinate    *Missing // the user has subordinate ids (not needed as root)
	Overlay        *Missing // overlay can be mounted in a user namespace
	Proc           *Missing // a new /proc can be mounted
	Network        *Missing // a network namespace can be made
	Tun            *Missing // /dev/net/tun can be opened, for a private network
	Pair           *Missing // virtual Ethernet devices can be made, for one without a tun; nil, too, where there is one
	Seccomp        *Missing // system calls can be filtered
	Cgroups        *Missing // limits on memory, CPU and processes can be set
	Root           bool     // the caller is root
}

// Isolation is the strongest way in which a sandbox can be made.
func (s Support) Isolation() Isolation {
	switch {
	case s.UserNamespaces != nil || s.Overlay != nil || s.Proc != nil:
		return NoRun
	case s.Root:
		return Root
	case s.Mapping != nil || s.Subordinate != nil:
		return RootlessSingle
	}
	return Rootless
}

// facts are what Probe reads from the host.
type facts struct {
	uid          int
	clone        error    // says why the namespaces cannot be made
	network      error    // says why one of the network cannot be made besides
	apparmor     string   // kernel.apparmor_restrict_unprivileged_userns
	unprivileged string   // kernel.unprivileged_userns_clone (Debian's)
	maxUserns    string   // user.max_user_namespaces
	mapper       *Missing // newuidmap or newgidmap
	subordinate  *Missing // a range in /etc/subuid or /etc/subgid
	kernel       string   // uname -r
	mountinfo    string
	tun          error // the reason why /dev/net/tun cannot be used
	pair         error // the reason why no pair can be made; looked for only without a tun
	cgroupV2     bool
	controllers  string // those of the own cgroup, if it is writable
	seccomp      bool
}

// decide turns facts into Support.
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

// decideNamespaces looks for the setting that forbids user namespaces; each distribution has its own.
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

// decideProc: the kernel refuses a new /proc in a namespace whose own /proc is partly covered.
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

// decideTun: without a tun a pair of devices does, more slowly, so this alone keeps nothing from running.
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
	if f.network == nil || f.clone != nil { // the reason that keeps all namespaces away is said elsewhere
		return nil
	}
	return noNetworkNamespace(f.network)
}

// noNetworkNamespace is for all who want a namespace of the network, and for a sandbox without one, too.
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
	return missingDevice(s.Tun, s.Pair)
}

// missingNetwork puts into words what the kernel refuses of a private network.
func missingNetwork(refused *network.Error) *Missing {
	switch {
	case refused.Namespace != nil:
		return noNetworkNamespace(refused.Namespace)
	case refused.Tun == nil:
		return decidePair(refused.Pair)
	}
	return missingDevice(decideTun(refused.Tun), refused.Pair)
}

// missingDevice joins why there is no tun and why there is no pair of devices either.
func missingDevice(tun *Missing, pair error) *Missing {
	return &Missing{What: "RUN has no network of its own", Remedy: tun.Remedy, Cause: fmt.Errorf("%w, and %w", tun, pair)}
}

// decideSeccomp: the filter is compiled by libseccomp, which a build without the tag leaves out.
func decideSeccomp(enabled bool) *Missing {
	if enabled {
		return nil
	}
	return &Missing{What: "this gbuild was built without seccomp, so system calls are not filtered", Remedy: "use a release binary, or build with -tags seccomp"}
}

// decideCgroups: only version 2 lets a user without privileges set limits, where systemd delegates a group.
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
