package runtime

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"
)

const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// mounts lists what is mounted in the sandbox, and makes the mount points in the root.
func (r *run) mounts() ([]*configs.Mount, error) {
	for _, dir := range []string{"/proc", "/dev", "/sys"} {
		// An image in which one of these leads elsewhere wants the sandbox to write there (CVE-2019-19921, CVE-2026-41579).
		resolved, _, err := r.tree.place(dir, false, nil)
		if err != nil {
			return nil, err
		}
		if resolved != dir {
			return nil, fmt.Errorf("%s is a symbolic link in the image: a sandbox needs a directory there", dir)
		}
		r.tree.covered[dir] = true
	}
	if err := r.mountDev(); err != nil {
		return nil, err
	}
	list := append(r.kernelMounts(), r.sysMounts()...)
	files, err := r.hostFiles()
	if err != nil {
		return nil, err
	}
	if r.Reaper {
		own, err := r.reaper()
		if err != nil {
			return nil, err
		}
		files = append(files, own)
	}
	for _, f := range files {
		if err := r.mountFile(f); err != nil {
			return nil, fmt.Errorf("mounting on %q: %w", f.Target, err)
		}
	}
	user := slices.Clone(r.Mounts)
	// A mount below another one comes after it, whatever their order was.
	slices.SortStableFunc(user, func(a, b Mount) int { return depth(a.Target) - depth(b.Target) })
	for _, m := range user {
		mount, err := r.mount(m)
		if err != nil {
			return nil, fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
		list = append(list, mount)
	}
	more, err := r.deviceMounts()
	return append(list, more...), err
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// kernelMounts are those of /proc, and of the namespace for messages.
func (r *run) kernelMounts() []*configs.Mount {
	list := []*configs.Mount{{Device: "proc", Source: "proc", Destination: "/proc", Flags: plain}}
	if !r.HostIPC {
		return append(list, &configs.Mount{Device: "mqueue", Source: "mqueue", Destination: "/dev/mqueue", Flags: plain})
	}
	for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
		if exists(dir) {
			list = append(list, &configs.Mount{Device: "bind", Source: dir, Destination: dir, Flags: unix.MS_BIND | unix.MS_REC | plain})
		}
	}
	return list
}

// sysMounts are /sys and, with cgroup version 2, /sys/fs/cgroup; version 1 is left out. A fresh sysfs shows the network
// devices of the sandbox, and the kernel allows it only to who owns the network namespace.
func (r *run) sysMounts() []*configs.Mount {
	flags := unix.MS_RDONLY
	if r.Insecure {
		flags = 0
	}
	sys := &configs.Mount{Device: "sysfs", Source: "sysfs", Destination: "/sys", Flags: plain | flags}
	if r.net.host || r.KeepID != nil {
		sys = &configs.Mount{Device: "bind", Source: "/sys", Destination: "/sys", Flags: unix.MS_BIND | unix.MS_REC | plain | flags}
		if !r.Insecure {
			sys.RecAttr = &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		}
		sys.PropagationFlags = []int{unix.MS_PRIVATE | unix.MS_REC}
	}
	if v2, _ := ownCgroup(); !v2 {
		return []*configs.Mount{sys}
	}
	return []*configs.Mount{sys, {Device: "cgroup", Source: "cgroup", Destination: "/sys/fs/cgroup", Flags: plain | flags}}
}

// mount makes the mount point of one bind or tmpfs and describes the mount.
func (r *run) mount(m Mount) (*configs.Mount, error) {
	file := false
	if m.Type == "bind" {
		st, err := os.Stat(m.Source)
		if err != nil {
			return nil, err
		}
		file = !st.IsDir()
	}
	target, made, err := r.place(m.Target, file)
	if err != nil {
		return nil, err
	}
	out := &configs.Mount{Device: m.Type, Source: m.Source, Destination: target, PropagationFlags: []int{unix.MS_PRIVATE | unix.MS_REC}}
	if m.ReadOnly {
		out.Flags = unix.MS_RDONLY
	}
	if m.Type == "tmpfs" {
		out.Source, out.Flags, out.Data = "tmpfs", out.Flags|unix.MS_NOSUID|unix.MS_NODEV, tmpfsData(m, made)
		return out, nil
	}
	out.Flags |= unix.MS_BIND | unix.MS_REC
	if m.ReadOnly {
		out.RecAttr = &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	}
	return out, nil
}

// place makes a mount point, and says where it is in the root and whether it was missing.
func (r *run) place(target string, file bool) (resolved string, made bool, err error) {
	resolved, made, err = r.tree.place(target, file, nil)
	if err != nil {
		return "", false, err
	}
	if resolved == "/" || under(resolved, "/proc") || under(resolved, "/sys") {
		return "", false, fmt.Errorf("a symbolic link in the image leads to %s, which belongs to the sandbox", resolved)
	}
	r.tree.covered[resolved] = true
	return resolved, made, nil
}

// tmpfsData words the options; libcontainer puts the mode of the directory under the mount before them.
func tmpfsData(m Mount, made bool) string {
	data := []string{fmt.Sprintf("uid=%d,gid=%d", m.UID, m.GID)}
	switch {
	case m.Mode != nil:
		data = append(data, fmt.Sprintf("mode=%o", *m.Mode&0o7777))
	case made:
		data = append(data, "mode=1777")
	}
	if m.Size > 0 {
		data = append(data, fmt.Sprintf("size=%d", m.Size))
	}
	return strings.Join(data, ",")
}

// makeDir makes the working directory for the user, except below a mount: there libcontainer does, once it is mounted.
func (r *run) makeDir() error {
	if r.Dir == "" || r.Dir == "/" {
		return nil
	}
	if _, _, err := r.tree.place(r.Dir, false, &owner{r.KeepID.outside(r.UID, r.keptUID()), r.KeepID.outside(r.GID, r.keptGID())}); err != nil {
		return fmt.Errorf("making the working directory: %w", err)
	}
	return nil
}
