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

// mounts mounts in the root what every sandbox has, our files and what was asked for, and lists what libcontainer is to
// mount besides. Each mount is there before the way to the next one is looked for: symbolic links in it may lead on.
func (r *run) mounts() ([]*configs.Mount, error) {
	if err := r.ownDirectories(); err != nil {
		return nil, err
	}
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
	user := slices.Clone(r.Mounts)
	// A mount below another one comes after it, whatever their order was.
	slices.SortStableFunc(user, func(a, b Mount) int { return depth(a.Target) - depth(b.Target) })
	for _, m := range append(files, user...) {
		if err := r.attach(m); err != nil {
			return nil, fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
	}
	list := append(r.kernelMounts(), r.sysMounts()...)
	more, err := r.deviceMounts()
	return append(list, more...), err
}

// ownDirectories mounts /dev, and keeps /proc and /sys for libcontainer.
func (r *run) ownDirectories() error {
	for _, dir := range []string{"/proc", "/dev", "/sys"} {
		// An image in which one of these leads elsewhere wants the sandbox to write there (CVE-2019-19921, CVE-2026-41579).
		s, err := r.tree.place(dir, false, nil)
		if err != nil {
			return err
		}
		s.close()
		if s.path != dir {
			return fmt.Errorf("%s is a symbolic link in the image: a sandbox needs a directory there", dir)
		}
		r.tree.covered[dir] = coverLater
	}
	r.tree.covered["/dev"] = coverThere
	return r.mountDev()
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// kernelMounts are those of /proc, and of the namespace for messages.
func (r *run) kernelMounts() []*configs.Mount {
	list := []*configs.Mount{{Device: "proc", Source: "proc", Destination: "/proc", Flags: plain}}
	if !r.HostIPC && r.tree.covered["/dev/mqueue"] == 0 {
		return append(list, &configs.Mount{Device: "mqueue", Source: "mqueue", Destination: "/dev/mqueue", Flags: plain})
	}
	for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
		if r.HostIPC && exists(dir) && r.tree.covered[dir] == 0 {
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

// attach mounts one bind or tmpfs in the root.
func (r *run) attach(m Mount) error {
	s, err := r.spotOf(m)
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case s.at == nil:
		return fmt.Errorf("%s is not mounted yet", s.path)
	case m.Type == "tmpfs":
		err = r.attachTmpfs(m, s)
	default:
		err = attachTree(m.Source, s.at, m.ReadOnly)
	}
	if err == nil {
		r.tree.covered[s.path] = coverThere
	}
	return err
}

// attachTree mounts source, and all that is mounted in it, on an open file or directory. No path is looked up once more
// for that: another build could have changed a shared cache meanwhile.
func attachTree(source string, at *os.File, readOnly bool) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if readOnly {
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// attachTmpfs mounts a tmpfs, with the mode of the directory under it where none is asked for.
func (r *run) attachTmpfs(m Mount, s *spot) error {
	if m.Mode == nil {
		mode := uint32(0o1777)
		if !s.made {
			var st unix.Stat_t
			if err := unix.Fstat(int(s.at.Fd()), &st); err != nil {
				return err
			}
			mode = st.Mode & 0o7777
		}
		m.Mode = &mode
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	m.UID, m.GID = r.KeepID.outside(m.UID, r.keptUID()), r.KeepID.outside(m.GID, r.keptGID())
	return unix.Mount("tmpfs", procPath(s.at), "tmpfs", flags, tmpfsData(m))
}

// tmpfsData words the options.
func tmpfsData(m Mount) string {
	data := fmt.Sprintf("uid=%d,gid=%d,mode=%o", m.UID, m.GID, *m.Mode&0o7777)
	if m.Size > 0 {
		data += fmt.Sprintf(",size=%d", m.Size)
	}
	return data
}

// mount makes the mount point of a bind or tmpfs of a device, and describes the mount for libcontainer.
func (r *run) mount(m Mount) (*configs.Mount, error) {
	s, err := r.spotOf(m)
	if err != nil {
		return nil, err
	}
	s.close()
	r.tree.covered[s.path] = coverLater
	out := &configs.Mount{Device: m.Type, Source: m.Source, Destination: s.path, PropagationFlags: []int{unix.MS_PRIVATE | unix.MS_REC}}
	if m.ReadOnly {
		out.Flags = unix.MS_RDONLY
	}
	if m.Type == "tmpfs" {
		out.Source, out.Flags = "tmpfs", out.Flags|unix.MS_NOSUID|unix.MS_NODEV
		return out, nil
	}
	out.Flags |= unix.MS_BIND | unix.MS_REC
	if m.ReadOnly {
		out.RecAttr = &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	}
	return out, nil
}

// ownNames are what the sandbox itself has in /dev, and makes there later.
var ownNames = []string{"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "mqueue", "fd", "stdin", "stdout", "stderr", "core"}

// spotOf finds, or makes, the mount point of a mount. Symbolic links may not lead it onto what the sandbox is made of;
// who names a device itself means it.
func (r *run) spotOf(m Mount) (*spot, error) {
	file := false
	if m.Type == "bind" {
		st, err := os.Stat(m.Source)
		if err != nil {
			return nil, err
		}
		file = !st.IsDir()
	}
	s, err := r.tree.place(m.Target, file, nil)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(s.path, "/dev/"), "/")
	own := s.linked && under(s.path, "/dev") && slices.Contains(ownNames, first)
	if own || s.path == "/" || s.path == "/dev" || under(s.path, "/proc") || under(s.path, "/sys") {
		s.close()
		return nil, fmt.Errorf("a symbolic link leads to %s, which belongs to the sandbox", s.path)
	}
	return s, nil
}

// makeDir makes the working directory for the user, except below a mount: there libcontainer does, once it is mounted.
func (r *run) makeDir() error {
	if r.Dir == "" || r.Dir == "/" {
		return nil
	}
	s, err := r.tree.place(r.Dir, false, &owner{r.KeepID.outside(r.UID, r.keptUID()), r.KeepID.outside(r.GID, r.keptGID())})
	if err != nil {
		return fmt.Errorf("making the working directory: %w", err)
	}
	s.close()
	return nil
}
