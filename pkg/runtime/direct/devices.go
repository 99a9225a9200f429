// This file owns the directory of devices that a command shares with this place: what the command has changed there is undone.

package direct

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/procfs"
)

// node is a name in a directory of devices.
type node struct {
	mode, uid, gid uint32
	device         uint64 // of a device
	link           string // of a link: where it leads
}

// isLike says whether two are of one kind, and lead to the same.
func (n node) isLike(other node) bool {
	return n.mode&unix.S_IFMT == other.mode&unix.S_IFMT && n.device == other.device && n.link == other.link
}

// nodes are the names in a directory, by their paths, and what they are. Those that are mount points, or in something mounted, are left out.
type nodes map[string]node

func nodesIn(dir string) (nodes, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	mounted := procfs.MountPoints(string(text), dir)
	all := nodes{}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // somebody else has removed it
			return nil
		case err != nil || name == dir:
			return err
		case slices.Contains(mounted, name[len(dir):]) && d.IsDir():
			return fs.SkipDir
		case slices.Contains(mounted, name[len(dir):]):
			return nil
		}
		n, err := nodeOf(name)
		if err == nil {
			all[name] = n
		}
		return err
	})
	return all, err
}

func nodeOf(name string) (n node, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return n, &os.PathError{Op: "lstat", Path: name, Err: err}
	}
	n = node{mode: st.Mode, uid: st.Uid, gid: st.Gid, device: st.Rdev}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		n.link, err = os.Readlink(name)
	}
	return n, err
}

// restore makes a directory what it was: what is new is removed, and what was there is made again. The content of a file is not.
func (before nodes) restore(dir string) error {
	now, err := nodesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(now))) { // what is in a directory before it
		if was, known := before[name]; known && was.isLike(now[name]) {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) { // something is mounted there
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if err := before[name].remake(name); err != nil {
			return err
		}
	}
	return nil
}

// remake makes what is missing, and gives what is there its owner and its mode.
func (n node) remake(name string) error {
	now, err := nodeOf(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = n.make(name); err == nil {
			now, err = nodeOf(name)
		}
	}
	if err != nil || !n.isLike(now) {
		return err
	}
	if now.uid != n.uid || now.gid != n.gid {
		if err := os.Lchown(name, int(n.uid), int(n.gid)); err != nil {
			return err
		}
	}
	if now.mode == n.mode || n.link != "" {
		return nil
	}
	return unix.Chmod(name, n.mode&0o7777)
}

func (n node) make(name string) error {
	switch n.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return os.Mkdir(name, 0o700)
	case unix.S_IFLNK:
		return os.Symlink(n.link, name)
	}
	return unix.Mknod(name, n.mode, int(n.device))
}
