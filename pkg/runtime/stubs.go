// This file owns the mount points that had to be made. They are no part of what the command changed, so they are removed
// afterwards, and their directories get the times back that they had. What the command has used, moved or replaced stays.

package runtime

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// stubs are the mount points that were made in one root.
type stubs struct {
	all     []stub
	touched []touched // the directories in which they were made, with their times
}

// stub is a mount point that the tree made.
type stub struct {
	parent, self *os.File // O_PATH
	name         string
	made         unix.Stat_t
}

// touched is a directory in which stubs were made.
type touched struct {
	dir           *os.File
	before, after unix.Stat_t
}

// touch remembers the times of a directory before the first stub in it.
func (s *stubs) touch(dir *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if s.touchedAs(&st) != nil {
		return nil
	}
	keep, err := reopen(dir, ".")
	if err != nil {
		return err
	}
	s.touched = append(s.touched, touched{dir: keep, before: st})
	return nil
}

// touchedAs finds what is remembered of a directory, or nil.
func (s *stubs) touchedAs(st *unix.Stat_t) *touched {
	i := slices.IndexFunc(s.touched, func(d touched) bool { return same(&d.before, st) })
	if i < 0 {
		return nil
	}
	return &s.touched[i]
}

func same(a, b *unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// record remembers a stub that was just made, and what its directory looks like with it.
func (s *stubs) record(dir *os.File, name string) (next *os.File, err error) {
	one := stub{name: name}
	var files []*os.File
	for _, at := range []string{".", name, name} {
		f, err := reopen(dir, at)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	one.parent, one.self, next = files[0], files[1], files[2]
	var st unix.Stat_t
	if err := errors.Join(unix.Fstat(int(one.self.Fd()), &one.made), unix.Fstat(int(dir.Fd()), &st)); err != nil {
		closeAll(files)
		return nil, err
	}
	s.all = append(s.all, one)
	s.touchedAs(&st).after = st
	return next, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// restore removes the stubs that are still what they were, and gives their directories the times that they would have
// without them. It must only be called when no process of the sandbox is left.
func (s *stubs) restore() error {
	var errs []error
	now := make([]unix.Stat_t, len(s.touched))
	for i, d := range s.touched {
		errs = append(errs, unix.Fstat(int(d.dir.Fd()), &now[i]))
	}
	for _, one := range slices.Backward(s.all) {
		errs = append(errs, one.remove())
		one.parent.Close()
		one.self.Close()
	}
	for i, d := range s.touched {
		errs = append(errs, d.restore(&now[i]))
		d.dir.Close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing mount points: %w", err)
	}
	return nil
}

// remove takes the stub away unless the command has used, moved or replaced it (CVE-2024-23652).
func (s *stub) remove() error {
	var st unix.Stat_t
	err := unix.Fstatat(int(s.parent.Fd()), s.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || !same(&st, &s.made) || st.Mode != s.made.Mode || st.Uid != s.made.Uid || st.Gid != s.made.Gid {
		return nil
	}
	flags := unix.AT_REMOVEDIR
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if flags = 0; st.Size != 0 || st.Nlink != 1 {
			return nil
		}
	}
	err = unix.Unlinkat(int(s.parent.Fd()), s.name, flags)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// restore sets the times from before the stubs, or, where the command has changed the directory too, those that it left.
func (d *touched) restore(now *unix.Stat_t) error {
	if now.Nlink == 0 {
		return nil
	}
	st := now
	if now.Mtim == d.after.Mtim {
		st = &d.before
	}
	err := unix.UtimesNanoAt(unix.AT_FDCWD, procPath(d.dir), []unix.Timespec{st.Atim, st.Mtim}, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// reopen opens name in dir, whatever it is, without following it or reading from it.
func reopen(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// procPath is a path to an open file for calls that take no descriptor.
func procPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// duplicate opens the same place once more, for whoever closes it.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
