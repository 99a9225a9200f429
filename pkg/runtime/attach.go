// This file owns the mounts that are made in the root before the container starts: binds and tmpfs. The other mounts are in
// latemounts.go.

package runtime

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// attachAll mounts our files and what was asked for. Each mount is there before the way to the next one is looked for:
// symbolic links in it may lead on. A mount below another one comes after it, whatever their order was.
func attachAll(t *tree, s *Sandbox, own []Mount) error {
	asked := slices.Clone(s.Mounts)
	slices.SortStableFunc(asked, func(a, b Mount) int { return depth(a.Target) - depth(b.Target) })
	for _, m := range append(own, asked...) {
		if err := attach(t, m, s.KeepID); err != nil {
			return fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
	}
	return nil
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// attach mounts one bind or tmpfs in the root.
func attach(t *tree, m Mount, keep *KeepID) error {
	s, err := mountPoint(t, m)
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case s.at == nil:
		return fmt.Errorf("%s is not mounted yet", s.path)
	case m.Type == "tmpfs":
		err = attachTmpfs(t, m, s, keep)
	default:
		err = attachTree(m, s.at, 0)
	}
	if err == nil {
		t.covered[s.path] = coverThere
	}
	return err
}

// attachTree mounts the source, and all that is mounted in it, on an open file or directory. No path is looked up once more
// for that: another build could have changed a shared cache meanwhile. All of it gets these attributes of unix.MountAttr besides.
func attachTree(m Mount, at *os.File, attributes uint64) error {
	all := uint(unix.AT_RECURSIVE)
	if m.Below.Hidden {
		all = 0
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|all)
	if err == unix.EINVAL && m.Below.Hidden {
		return fmt.Errorf("the mounts in %s cannot be left out: the kernel would show what they cover: %w", m.Source, err)
	}
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: attributes, Propagation: unix.MS_PRIVATE}
	if m.Below.Later {
		attr.Propagation = unix.MS_SLAVE
	}
	if m.ReadOnly && !m.Below.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if err == nil && m.ReadOnly {
		err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	}
	if err != nil {
		return err
	}
	return unix.MoveMount(tree, "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// attachTmpfs mounts a tmpfs, with the mode of the directory under it where none is asked for.
func attachTmpfs(t *tree, m Mount, s *spot, keep *KeepID) error {
	mode := uint32(0o1777)
	if m.Mode != nil {
		mode = *m.Mode
	} else if !s.made {
		var st unix.Stat_t
		if err := unix.Fstat(int(s.at.Fd()), &st); err != nil {
			return err
		}
		mode = st.Mode
	}
	flags := m.Flags
	if flags == 0 {
		flags = unix.MS_NOSUID | unix.MS_NODEV
	}
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	to := keep.owner(m.UID, m.GID)
	data := fmt.Sprintf("%s,mode=%o", to.option(), mode&0o7777)
	if m.Size > 0 {
		data += fmt.Sprintf(",size=%d", m.Size)
	}
	if m.Data != "" {
		data += "," + m.Data
	}
	if err := unix.Mount("tmpfs", procPath(s.at), "tmpfs", flags, data); err != nil || !host.SingleID() {
		return err
	}
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(t.root.Fd()), s.path, how)
	if err != nil {
		return err
	}
	made := os.NewFile(uintptr(fd), s.path)
	defer made.Close()
	return to.give(made)
}

// ownNames are what the sandbox itself has in /dev, and makes there later.
var ownNames = []string{"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "mqueue", "fd", "stdin", "stdout", "stderr", "core"}

// mountPoint finds, or makes, the mount point of a mount. Symbolic links may not lead it onto what the sandbox is made of;
// who names a device itself means it.
func mountPoint(t *tree, m Mount) (*spot, error) {
	file := false
	if m.Type == "bind" {
		st, err := os.Stat(m.Source)
		if err != nil {
			return nil, err
		}
		file = !st.IsDir()
	}
	s, err := t.place(m.Target, file, nil)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(s.path, "/dev/"), "/")
	own := s.linked && host.Under(s.path, "/dev") && slices.Contains(ownNames, first)
	if own || s.path == "/" || s.path == "/dev" || host.Under(s.path, "/proc") || host.Under(s.path, "/sys") {
		s.close()
		return nil, fmt.Errorf("a symbolic link leads to %s, which belongs to the sandbox", s.path)
	}
	return s, nil
}

// makeWorkDir makes the working directory for the user, except below a mount: there libcontainer does, once it is mounted.
func makeWorkDir(t *tree, s *Sandbox) error {
	if s.Dir == "" || s.Dir == "/" {
		return nil
	}
	user := s.KeepID.owner(s.UID, s.GID)
	if s.Isolation == host.Ptrace { // there is nobody else
		user = owner{os.Geteuid(), os.Getegid()}
	}
	at, err := t.place(s.Dir, false, &user)
	if err != nil {
		return fmt.Errorf("making the working directory: %w", err)
	}
	at.close()
	return nil
}
