// This file owns the mounts that libcontainer makes: those of the kernel's file systems, which must be made in the sandbox's own
// namespaces, and those of devices. Here they are only described; but their mount points are made at once, in the tree of the root.

package runtime

import (
	"fmt"
	"slices"
	"strings"

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

// lateMounts lists them. Those of devices come last, so that no volume covers a driver.
func lateMounts(t *tree, s *Sandbox, hostNetwork bool) ([]lateMount, error) {
	devices, err := deviceMounts(t, s.Devices)
	return slices.Concat(kernelMounts(t, s.HostIPC), sysMounts(s, hostNetwork), devices), err
}

// kernelMounts are those of /proc, and of the namespace for messages.
func kernelMounts(t *tree, hostIPC bool) []lateMount {
	list := []lateMount{{kind: "proc", source: "proc", target: "/proc", flags: plain}}
	if !host.OwnParts().Proc {
		list[0] = lateMount{kind: "bind", source: "/proc", target: "/proc", flags: unix.MS_BIND | unix.MS_REC | plain, private: true}
	}
	if !hostIPC && t.covered["/dev/mqueue"] == 0 {
		return append(list, lateMount{kind: "mqueue", source: "mqueue", target: "/dev/mqueue", flags: plain})
	}
	for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
		if hostIPC && host.Exists(dir) && t.covered[dir] == 0 {
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

// deviceMounts are the nodes, files and file systems of devices.
func deviceMounts(t *tree, devices []Edits) ([]lateMount, error) {
	var list []lateMount
	for _, e := range devices {
		for _, n := range e.Devices {
			m, err := deviceNode(t, n)
			if err != nil {
				return nil, fmt.Errorf("mounting device %s: %w", n.Target, err)
			}
			list = append(list, m)
		}
		for _, d := range e.Mounts {
			m, err := deviceMount(t, d)
			if err != nil {
				return nil, fmt.Errorf("mounting %s of a device: %w", d.Target, err)
			}
			list = append(list, m)
		}
	}
	return list, nil
}

// deviceNode binds a node of the host read-only: that keeps nobody from writing to the device, but root's command from
// changing the mode of the host's node.
func deviceNode(t *tree, n DeviceNode) (lateMount, error) {
	m, err := later(t, Mount{Type: "bind", Source: n.Source, Target: n.Target})
	m.flags |= unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOEXEC
	m.readOnlyBelow = true
	return m, err
}

func deviceMount(t *tree, d DeviceMount) (lateMount, error) {
	m, err := later(t, Mount{Type: d.Type, Source: d.Source, Target: d.Target})
	var data []string
	for _, o := range d.Options {
		if set, ok := mountFlags[o]; ok {
			m.flags |= set
		} else if strings.Contains(o, "=") {
			data = append(data, o)
		}
	}
	if d.Type == "tmpfs" {
		m.data = strings.Join(data, ",")
	}
	return m, err
}

// mountFlags are the options of mount(8) that devices have; propagation is always private.
var mountFlags = map[string]int{
	"ro": unix.MS_RDONLY, "bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV,
	"noexec": unix.MS_NOEXEC, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
}

// later makes the mount point of a bind or tmpfs, which libcontainer mounts.
func later(t *tree, m Mount) (lateMount, error) {
	at, err := mountPoint(t, m)
	if err != nil {
		return lateMount{}, err
	}
	at.close()
	t.covered[at.path] = coverLater
	if m.Type == "tmpfs" {
		return lateMount{kind: m.Type, source: "tmpfs", target: at.path, flags: unix.MS_NOSUID | unix.MS_NODEV, private: true}, nil
	}
	return lateMount{kind: m.Type, source: m.Source, target: at.path, flags: unix.MS_BIND | unix.MS_REC, private: true}, nil
}
