// This file owns the moving and removing of trees that a RUN has written. Others may write there meanwhile, so no path is
// looked up twice: each directory is opened in the one above it, and no link is followed.

package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// merge moves all below the directory from into the directory to. What both have is of from afterwards; what only to has
// stays.
func merge(from, to *os.File) error {
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := moveEntry(from, to, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// moveEntry moves one entry, or, where both are directories, what is in it. Where from is the upper directory of an
// overlay, it may say that an entry was removed.
func moveEntry(from, to *os.File, name string) error {
	if isWhiteout(from, name) {
		return removeIn(to, name)
	}
	if below, err := openIn(from, name); err == nil {
		defer below.Close()
		for _, mark := range []string{"opaque", "origin", "impure"} { // These mean something in an upper directory only.
			_ = unix.Fremovexattr(int(below.Fd()), "user.overlay."+mark) // Most have none.
		}
		if there, err := openIn(to, name); err == nil {
			defer there.Close()
			return merge(below, there)
		}
	}
	err := unix.Renameat(int(from.Fd()), name, int(to.Fd()), name)
	if err == nil || !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := removeIn(to, name); err != nil {
		return err
	}
	return unix.Renameat(int(from.Fd()), name, int(to.Fd()), name)
}

// isWhiteout says whether an entry of an upper directory stands for one that was removed.
func isWhiteout(dir *os.File, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// openIn opens a directory that is no link in another one.
func openIn(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// removeIn removes an entry, and all below it. It need not be there.
func removeIn(dir *os.File, name string) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	below, err := openIn(dir, name)
	if err != nil {
		return err
	}
	defer below.Close()
	names, err := below.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeIn(below, n); err != nil {
			return err
		}
	}
	return unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
}

// makeLike makes a directory with the owner and the mode of another one.
func makeLike(dir, other string) error {
	like, err := rootfs.Lstat(other, other)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := like.Owner().GivePath(dir); err != nil {
		return err
	}
	return unix.Chmod(dir, like.Mode&0o7777)
}

// removeAll also removes directories that a build closed to their owner.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			// Each directory is opened before it is read; what cannot be opened fails again below, with its path.
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
