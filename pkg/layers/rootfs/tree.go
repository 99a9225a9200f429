// tree, a directory that is written into while nobody trusts what is in it.

package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// tree writes into a directory whose content is not trusted. Everything is done relative to descriptors of directories
// that were opened with the directory as their root, so that no link can lead outside.
type tree struct {
	dir     string
	root    *os.File
	at      string          // where root is, without links
	implied map[string]bool // directories that were made because something lies in them, by paths without links
}

// newTree starts to write into dir.
func newTree(dir string) (*tree, error) {
	root, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", root.Fd()))
	if err != nil {
		root.Close()
		return nil, err
	}
	return &tree{dir: dir, root: root, at: at, implied: map[string]bool{}}, nil
}

func (t *tree) close() { t.root.Close() }

// open implements places.
func (t *tree) open(name string) (int, error) { return t.ensure(name, maxLinks) }

// reopen implements places.
func (t *tree) reopen(name string) (int, error) { return t.lookup(name) }

// keep implements places. The directory was empty in the beginning.
func (t *tree) keep(string) error { return nil }

// lookup opens the directory at name, following links as a process whose root is the tree.
func (t *tree) lookup(name string) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(int(t.root.Fd()), name, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN: // a rename somewhere while ".." was resolved
			continue
		case unix.ENOSYS, unix.EPERM:
			return t.lookupSlowly(name)
		}
		return fd, err
	}
}

// lookupSlowly is lookup where a seccomp filter blocks openat2.
func (t *tree) lookupSlowly(name string) (int, error) {
	f, err := pathrs.OpenatInRoot(t.root, name)
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return -1, errno
	}
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return unix.Openat(int(f.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// ensure opens the directory at name and makes what is missing of it.
func (t *tree) ensure(name string, links int) (int, error) {
	fd, err := t.lookup(name)
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
		return fd, err
	}
	if links == 0 {
		return -1, unix.ELOOP
	}
	dir, base := path.Split(name)
	above, err := t.ensure(strings.TrimSuffix(dir, "/"), links-1)
	if err != nil {
		return -1, err
	}
	defer unix.Close(above)
	var st unix.Stat_t
	err = unix.Fstatat(above, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		err = t.mkdir(above, base, false)
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return t.ensureTarget(above, dir, base, links-1)
	case err == nil && isWhiteoutAt(above, base, &st):
		if err = unix.Unlinkat(above, base, 0); err == nil {
			err = t.mkdir(above, base, true)
		}
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		err = unix.ENOTDIR
	}
	if err != nil {
		return -1, err
	}
	t.implied[path.Join(t.pathOf(above), base)] = true
	return unix.Openat(above, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// pathOf is where an open directory of the tree is, without links.
func (t *tree) pathOf(fd int) string {
	at, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return strings.Trim(strings.TrimPrefix(at, t.at), "/")
}

// ensureTarget makes the directory that a dangling link means: /var/run -> /run where only the link is in this layer.
func (t *tree) ensureTarget(above int, dir, base string, links int) (int, error) {
	target, err := readlinkat(above, base)
	if err != nil {
		return -1, err
	}
	if !strings.HasPrefix(target, "/") {
		target = path.Join("/", dir, target)
	}
	return t.ensure(strings.TrimPrefix(path.Clean(target), "/"), links)
}

// readlinkat returns the target of a link.
func readlinkat(fd int, base string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, base, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// mkdir makes a directory; an opaque one hides what the snapshots below have there.
func (t *tree) mkdir(fd int, base string, opaque bool) error {
	if err := unix.Mkdirat(fd, base, 0o755); err != nil {
		return err
	}
	if err := unix.Fchmodat(fd, base, 0o755, 0); err != nil { // the umask
		return err
	}
	if opaque {
		return SetOpaqueAt(fd, base)
	}
	return nil
}

// statAt returns what lies at base, nil if nothing does.
func statAt(fd int, base string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil, nil
	}
	return &st, err
}

// clear removes what lies at base, with all below it.
func (t *tree) clear(fd int, base string) error {
	err := unix.Unlinkat(fd, base, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.EPERM):
		err = os.RemoveAll(filepath.Join(fmt.Sprintf("/proc/self/fd/%d", fd), base))
	}
	return err
}

func timespec(at time.Time) unix.Timespec {
	return unix.Timespec{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
}

// setTimes sets both times of a file, of a link its own.
func setTimes(fd int, base string, at time.Time) error {
	return unix.UtimesNanoAt(fd, base, []unix.Timespec{timespec(at), timespec(at)}, unix.AT_SYMLINK_NOFOLLOW)
}
