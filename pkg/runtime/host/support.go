// This file owns what the facts about a host mean: which abilities it has, what each of the others lacks, and what adds it. It
// touches nothing.

package host

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// Support says for each ability what this host lacks; nil means that it is there.
type Support struct {
	UserNamespaces *Missing // namespaces can be entered, in which mounts can be made
	OwnUsers       *Missing // root has a user namespace of its own there (not asked of an ordinary user)
	Mapping        *Missing // more than one id can be mapped
	Subordinate    *Missing // the user has subordinate ids (not needed as root)
	Notify         *Missing // system calls of a sandbox can be answered by this process
	Proc           *Missing // a new /proc can be mounted; a sandbox shares that of this process otherwise
	Hostname       *Missing // a sandbox can have a name of its own; likewise
	Network        *Missing // a network namespace can be made
	Tun            *Missing // /dev/net/tun can be opened, for a private network
	Pair           *Missing // virtual Ethernet devices can be made, for one without a tun; nil, too, where there is one
	Seccomp        *Missing // system calls can be filtered
	Cgroups        *Missing // limits on memory, CPU and processes can be set
	Tracer         *Missing // there is a program that answers the system calls of a command without namespaces
	Direct         *Missing // root may do here what commands do, without namespaces
	OwnImage       *Missing // the root directory of this place is gbuild's to change
	Root           bool     // the caller is root
}

// Isolation is the strongest way in which a sandbox can be made without being asked for.
func (s Support) Isolation() Isolation {
	for _, i := range []Isolation{Root, Rootless, RootlessSingle, Fake, Inplace, Chroot} {
		if s.Lacks(i) == nil {
			return i
		}
	}
	return NoRun
}

// Lacks says why sandboxes cannot be made in that way here, or nil.
func (s Support) Lacks(i Isolation) *Missing {
	switch i {
	case Root:
		if !s.Root {
			return notRoot()
		}
		return first(s.UserNamespaces, s.Mapping)
	case Rootless:
		if s.Root {
			return notRootless()
		}
		return first(s.UserNamespaces, s.Mapping, s.Subordinate)
	case RootlessSingle:
		return first(s.UserNamespaces, s.OwnUsers, s.Notify)
	case Fake:
		return first(s.UserNamespaces, s.OwnUsers, s.Seccomp)
	case Inplace:
		return first(s.Direct, s.OwnImage)
	case Chroot:
		return s.Direct
	case Ptrace:
		return s.Tracer
	}
	return nil
}

// first is the first of them that is missing.
func first(all ...*Missing) *Missing {
	for _, m := range all {
		if m != nil {
			return m
		}
	}
	return nil
}

// decide turns facts into Support.
func decide(f facts) Support {
	s := Support{
		Root:        f.uid == 0,
		Subordinate: f.subordinate,
		Proc:        decideProc(f),
		Hostname:    decideHostname(f),
		Network:     decideNetwork(f),
		Tun:         decideTun(f.tun),
		Pair:        decidePair(f.pair),
		Seccomp:     decideSeccomp(f.seccomp),
		Cgroups:     decideCgroups(f),
		Tracer:      f.ptrace,
		Direct:      decideDirect(f),
		OwnImage:    f.marker,
	}
	switch {
	case !f.tried.Done:
		s.UserNamespaces = decideNone(f)
	case f.tried.Mount == unix.ENOSYS:
		s.UserNamespaces = &Missing{What: "Linux " + f.kernel + " cannot change what a mount allows", Remedy: "use Linux 5.12 or newer"}
	case f.tried.Mount != 0:
		f.refused = refusedAt(stepMount, f.tried.Mount)
		s.UserNamespaces = decideNone(f)
	case f.tried.Bare:
		s.OwnUsers = decideBare(f)
	}
	if f.tried.Single {
		s.Mapping = decideSingle(f)
	}
	s.Notify = decideNotify(f.scope, f.tried.Notify)
	return s
}

// decideNone says why namespaces cannot be entered.
func decideNone(f facts) *Missing {
	if m := decideRefusal(f); m != nil {
		return m
	}
	return &Missing{What: "namespaces cannot be entered", Remedy: "gbuild -D build says more", Cause: f.refused}
}

// decideBare says why root has no user namespace of its own.
func decideBare(f facts) *Missing {
	if f.why != nil {
		return f.why
	}
	if f.refused == nil {
		f.refused = &refusal{at: stepClone, err: unix.ENOSPC} // early.c goes this way for no other reason
	}
	return decideNone(f)
}

// decideProc: the kernel refuses a new /proc in a namespace whose own /proc is partly covered.
func decideProc(f facts) *Missing {
	if f.tried.Proc == 0 {
		return nil
	}
	if covered := covers(f.mountinfo, "proc", "/proc"); len(covered) > 0 {
		return decideCovers(covered)
	}
	return &Missing{What: "a new /proc cannot be mounted", Remedy: "let the container or policy around gbuild allow it", Cause: f.tried.Proc}
}

// decideHostname: podman's filter lets nobody set a name who is not privileged outside.
func decideHostname(f facts) *Missing {
	if f.tried.Hostname == 0 {
		return nil
	}
	return &Missing{What: "the name of a host cannot be set", Remedy: "let the filter of system calls around gbuild allow sethostname (podman: --cap-add SYS_ADMIN)", Cause: f.tried.Hostname}
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
	if f.tried.Network == 0 { // also where the reason that keeps all namespaces away is said elsewhere
		return nil
	}
	return NoNetworkNamespace(f.tried.Network)
}

// NoNetworkNamespace is for all who want a namespace of the network, and for a sandbox without one, too.
func NoNetworkNamespace(err error) *Missing {
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

// MissingNetwork puts into words what the kernel refuses of a private network.
func MissingNetwork(refused *network.Error) *Missing {
	switch {
	case refused.Namespace != nil:
		return NoNetworkNamespace(refused.Namespace)
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

// decideCgroups: only version 2 lets a user without privileges set limits, where systemd delegates a group. With version 1 it is
// root who may make a group in each hierarchy.
func decideCgroups(f facts) *Missing {
	if f.cgroupV2 && strings.Contains(f.controllers, "memory") {
		return nil
	}
	lacks := slices.DeleteFunc(slices.Clone(needed), func(name string) bool { return slices.Contains(f.hierarchies, name) })
	switch {
	case !f.cgroupV2 && len(lacks) == 0:
		return nil
	case !f.cgroupV2 && f.uid == 0:
		return &Missing{What: "no group can be made here in the hierarchies of cgroup version 1 for " + strings.Join(lacks, ", ") + ", so limits cannot be set", Remedy: "mount the host's cgroups writable"}
	case !f.cgroupV2:
		return &Missing{What: "limits cannot be set by an ordinary user with cgroup version 1", Remedy: "boot with systemd.unified_cgroup_hierarchy=1"}
	}
	return &Missing{
		What:   "no cgroup controllers are delegated to this user, so limits cannot be set",
		Remedy: "run under: systemd-run --user --scope -p Delegate=yes",
	}
}
