package pipcache

// Moving what a RUN left in a directory of its own into a cache. Others may write to the cache meanwhile, so that no path
// is looked up twice: each directory is opened in the one above it, and no link is followed.

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
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
		for _, mark := range []string{"opaque", "origin", "impure"} { // they mean something in an upper directory only
			_ = unix.Fremovexattr(int(below.Fd()), "user.overlay."+mark) // most have none
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

// Renew lets the lease stand for an empty directory, with the owner and the mode of the cache. What is in it when the lease
// ends replaces what the cache has under the same names.
func (l *Lease) Renew() error {
	dir, remove, err := (&Caches{filepath.Dir(l.dir)}).Workspace()
	if err != nil {
		return fmt.Errorf("renewing cache: %w", err)
	}
	fresh := filepath.Join(dir, dataDir)
	if err := makeLike(fresh, l.Dir()); err != nil {
		return errors.Join(fmt.Errorf("renewing cache: %w", err), remove())
	}
	l.renewed, l.remove = fresh, remove
	return nil
}

// makeLike makes a directory with the owner and the mode of another one.
func makeLike(dir, other string) error {
	var st unix.Stat_t
	if err := unix.Lstat(other, &st); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chown(dir, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(dir, st.Mode&0o7777)
}

// replace ends what Renew began.
func (l *Lease) replace() error {
	if l.renewed == "" {
		return nil
	}
	from := l.renewed
	l.renewed = ""
	return errors.Join(Divide(from, func(string) string { return l.Dir() }), l.remove())
}

// Below says of an entry that it is divided itself.
const Below = "/"

// Divide moves what is at the top of a directory into the directories that choose names; "" leaves it. Of what both have,
// that which is moved stays.
func Divide(dir string, choose func(path string) (into string)) error {
	from, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	return divide(from, "", choose)
}

// divide divides the directory from, which has the path dir in the one that is divided.
func divide(from *os.File, dir string, choose func(string) string) error {
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		switch into := choose(path.Join(dir, name)); into {
		case "":
		case Below:
			below, err := openIn(from, name)
			if err == nil {
				err = divide(below, path.Join(dir, name), choose)
				below.Close()
			}
			if err != nil {
				return fmt.Errorf("keeping %s: %w", name, err)
			}
		default:
			if err := moveInto(from, dir, name, into); err != nil {
				return fmt.Errorf("keeping %s: %w", name, err)
			}
		}
	}
	return nil
}

// moveInto moves an entry of from into the directory dir below into.
func moveInto(from *os.File, dir, name, into string) error {
	to, err := os.Open(into)
	if err != nil {
		return err
	}
	defer func() { to.Close() }()
	if dir != "" {
		below, err := makeIn(to, dir, from)
		if err != nil {
			return err
		}
		to.Close()
		to = below
	}
	return moveEntry(from, to, name)
}

// makeIn opens the directory name in another one, and makes it with owner and mode of like where there is none.
func makeIn(dir *os.File, name string, like *os.File) (*os.File, error) {
	below, err := openIn(dir, name)
	if !errors.Is(err, unix.ENOENT) {
		return below, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(like.Fd()), &st); err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, st.Mode&0o7777); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	if below, err = openIn(dir, name); err != nil {
		return nil, err
	}
	if err := below.Chown(int(st.Uid), int(st.Gid)); err != nil {
		below.Close()
		return nil, err
	}
	return below, nil
}
