// This file owns the mounts that libcontainer makes: those of the kernel's file systems, which must be made in the sandbox's own
// namespaces. Here they are only described.

package runtime

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// lateMount is one mount for libcontainer.
type lateMount struct {
	kind           string // "bind", or the type of a file system
	source, target string
	flags          int
	data           string
	private        bool // nothing that is mounted in it later crosses to the source or back
	readOnlyBelow  bool // the mounts inside of it are read-only, too
}

// plain are the flags of file systems from which nothing is executed.
const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// lateMounts lists them.
func lateMounts(t *tree, s *Sandbox, hostNetwork bool) []lateMount {
	return slices.Concat(kernelMounts(t, s), sysMounts(s, hostNetwork))
}

// kernelMounts are those of /proc, and of the namespace for messages.
func kernelMounts(t *tree, s *Sandbox) []lateMount {
	list := []lateMount{{kind: "proc", source: "proc", target: "/proc", flags: plain}}
	if !s.ownProcesses() {
		list[0] = lateMount{kind: "bind", source: "/proc", target: "/proc", flags: unix.MS_BIND | unix.MS_REC | plain, private: true}
	}
	if !s.HostIPC && t.covered["/dev/mqueue"] == 0 {
		return append(list, lateMount{kind: "mqueue", source: "mqueue", target: "/dev/mqueue", flags: plain})
	}
	for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
		if s.HostIPC && host.Exists(dir) && t.covered[dir] == 0 {
			list = append(list, lateMount{kind: "bind", source: dir, target: dir, flags: unix.MS_BIND | unix.MS_REC | plain})
		}
	}
	return list
}

// sysMounts are /sys and, with cgroup version 2, /sys/fs/cgroup; version 1 is left out. A sysfs of the sandbox's own shows its
// network devices, and the kernel allows it only to who owns the network namespace, and sees all of a /sys already.
func sysMounts(s *Sandbox, hostNetwork bool) []lateMount {
	flags := unix.MS_RDONLY
	if s.Insecure {
		flags = 0
	}
	sys := lateMount{kind: "sysfs", source: "sysfs", target: "/sys", flags: plain | flags}
	shared := hostNetwork || s.KeepID != nil
	if !shared {
		own, writable := host.OwnSys()
		shared = !own || s.Insecure && !writable
	}
	if shared {
		sys = lateMount{kind: "bind", source: "/sys", target: "/sys", flags: unix.MS_BIND | unix.MS_REC | plain | flags, private: true, readOnlyBelow: !s.Insecure}
	}
	if v2, _ := host.OwnCgroup(); !v2 {
		return []lateMount{sys}
	}
	return []lateMount{sys, {kind: "cgroup", source: "cgroup", target: cgroupRoot, flags: plain | flags}}
}
