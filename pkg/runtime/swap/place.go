// This file owns the places in the root: how one is found, how a thing gets there, and how it is taken away again.

package swap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
)

// show puts one thing in its place. apart says that it cannot be renamed there from where it is.
func (s *Swap) show(ctx context.Context, i int, m Mount, apart bool) error {
	e, dir, err := s.find(i, m)
	if err != nil {
		return err
	}
	if err := s.prepare(ctx, &e, m, apart); err != nil {
		return err
	}
	e.Dir = dir
	s.journal.Entries = append(s.journal.Entries, e)
	if err := s.touch(dir, false); err != nil {
		return err
	}
	if err := s.save(); err != nil {
		return err
	}
	if err := s.place(e); err != nil {
		return err
	}
	if e.Kind == Piped {
		if err := s.serve(e); err != nil {
			return err
		}
	}
	return s.touch(dir, true)
}

// find finds the place of a thing, and the directory in which something will appear.
func (s *Swap) find(i int, m Mount) (e entry, dir string, err error) {
	number := strconv.Itoa(i)
	e = entry{Kind: m.Kind, Source: path.Clean(m.Source), In: s.dir + "/" + inPrefix + number, Out: s.dir + "/" + outPrefix + number, Stash: s.dir + "/" + stashPrefix + number}
	full, err := securejoin.SecureJoin(s.root, m.Target)
	if err != nil {
		return e, "", err
	}
	e.Target = path.Clean("/" + strings.TrimPrefix(full, strings.TrimSuffix(s.root, "/")))
	if e.Target == "/" {
		return e, "", errors.New("nothing can be shown in the place of the root directory")
	}
	for _, m := range s.mounted {
		if covers(e.Target, m) {
			return e, "", hint.HostErrorf("choose another target, or build where mounts can be made", "%s is mounted in this container, and cannot be put aside for a while", m)
		}
	}
	dir = path.Dir(e.Target)
	for !exists(s.path(dir)) {
		e.Made = append([]string{dir}, e.Made...)
		dir = path.Dir(dir)
	}
	var at unix.Stat_t
	if err := unix.Lstat(s.path(dir), &at); err != nil {
		return e, "", err
	}
	if at.Mode&unix.S_IFMT != unix.S_IFDIR {
		return e, "", &os.PathError{Op: "making", Path: e.Target, Err: unix.ENOTDIR}
	}
	e.Link = at.Dev != s.device
	var there unix.Stat_t
	if unix.Lstat(s.path(e.Target), &there) == nil && (e.Link || there.Dev != at.Dev) {
		return e, "", hint.HostErrorf("choose another target, or build where mounts can be made", "%s is, or is on, a mount of this container, and cannot be put aside for a while", e.Target)
	}
	return e, dir, nil
}

// prepare makes ready what is to be shown, where nobody looks.
func (s *Swap) prepare(ctx context.Context, e *entry, m Mount, apart bool) error {
	if at := s.lentAt(e.Source); at != "" && m.Kind == Lent && !m.ReadOnly {
		e.Kind, e.Source = Linked, at
		if e.Link {
			return nil
		}
		return s.do("prepare", func() error { return os.Symlink(at, e.In) })
	} else if at != "" {
		m.Source = s.path(at)
	}
	switch m.Kind {
	case Empty:
		return s.prepareEmpty(e, m)
	case Linked:
		if e.Link {
			return nil // the link is made where it is to be
		}
		return s.do("prepare", func() error { return os.Symlink(m.Source, e.In) })
	case Piped:
		if e.Link { // on a mount of the container, from where its memory is in sight
			e.Kind = Linked
			return nil
		}
		return s.preparePipe(e)
	case Copied:
		return s.do("prepare", func() error { return copyIn(ctx, m.Source, e.In) })
	}
	var st unix.Stat_t
	if err := unix.Lstat(m.Source, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: m.Source, Err: err}
	}
	e.Mode, e.UID, e.GID = st.Mode&0o7777, st.Uid, st.Gid
	if m.ReadOnly || !e.Link && (apart || st.Dev != s.device) {
		e.Back = !m.ReadOnly
		return s.do("prepare", func() error { return copyIn(ctx, m.Source, e.In) })
	}
	e.In, e.Out = m.Source, m.Source
	return nil
}

// lentAt is the path in the root at which the command sees a source, or what it is in, already; "" where it does not.
func (s *Swap) lentAt(source string) string {
	for _, e := range s.journal.Entries {
		if e.Kind == Lent && covers(e.Source, source) && (e.Back || e.In == e.Source) {
			return path.Join(e.Target, source[len(e.Source):])
		}
	}
	return ""
}

func (s *Swap) prepareEmpty(e *entry, m Mount) error {
	mode := uint32(0o1777)
	if fi, err := os.Stat(s.path(e.Target)); err == nil && fi.IsDir() {
		mode = fi.Sys().(*syscall.Stat_t).Mode
	}
	if m.Mode != nil {
		mode = *m.Mode
	}
	return s.do("prepare", func() error { return makeDir(e.In, mode, m.UID, m.GID) })
}

// makeDir makes a directory, whatever the umask is.
func makeDir(name string, mode uint32, uid, gid int) error {
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	if err := os.Chown(name, uid, gid); err != nil {
		return err
	}
	return unix.Chmod(name, mode&0o7777)
}

// place puts a thing in its place, and puts aside what is there.
func (s *Swap) place(e entry) error {
	for _, dir := range e.Made {
		if err := s.do("make", func() error { return s.makeOnTheWay(dir, e.Link) }); err != nil {
			return err
		}
	}
	target := s.path(e.Target)
	if e.Link {
		to := e.In
		if e.Kind == Linked {
			to = e.Source
		}
		return s.do("place", func() error { return os.Symlink(to, target) })
	}
	if exists(target) {
		if err := s.putAside(target, e); err != nil {
			return fmt.Errorf("putting aside what is there: %w", err)
		}
	}
	return s.do("place", func() error { return os.Rename(e.In, target) })
}

// makeOnTheWay makes a directory of the root. far says that it is on another file system.
func (s *Swap) makeOnTheWay(name string, far bool) error {
	if far {
		return makeDir(s.path(name), 0o755, os.Geteuid(), os.Getegid())
	}
	return s.makeWhole(s.path(name), 0o755, os.Geteuid(), os.Getegid())
}

// makeWhole makes a directory that appears with its owner and mode, also where this process is killed in between.
func (s *Swap) makeWhole(name string, mode uint32, uid, gid int) error {
	fresh := s.dir + "/" + freshName
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := makeDir(fresh, mode, uid, gid); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// touch notes the time of a directory in which a thing is shown, before and after that.
func (s *Swap) touch(dir string, after bool) error {
	var st unix.Stat_t
	if err := unix.Lstat(s.path(dir), &st); err != nil {
		return err
	}
	now := st.Mtim.Nano()
	i := slices.IndexFunc(s.journal.Dirs, func(d touched) bool { return d.Path == dir })
	if i < 0 {
		i = len(s.journal.Dirs)
		s.journal.Dirs = append(s.journal.Dirs, touched{Path: dir, Before: now})
	}
	if after {
		s.journal.Dirs[i].After = now
	}
	return nil
}

// errGone says that a directory of the root is not there any more, or is a link now.
var errGone = errors.New("the directory is gone")

// directory opens a directory of the root. No link leads there: the command may have made one.
func (s *Swap) directory(name string) (*os.File, error) {
	fd, err := unix.Open(s.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' }) {
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil, errGone
		}
		if err != nil {
			return nil, err
		}
		fd = next
	}
	return os.NewFile(uintptr(fd), name), nil
}

// take takes a thing away from its place, and leaves there what the root had.
func (s *Swap) take(e entry) error {
	dir, err := s.directory(path.Dir(e.Target))
	switch {
	case errors.Is(err, errGone): // by the command, or since it was taken away already
		err = s.leave(e, nil)
	case err == nil:
		err = s.takeFrom(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), path.Base(e.Target)), e)
		dir.Close()
	}
	if err == nil {
		err = s.unmake(e)
	}
	if err != nil {
		return err
	}
	return s.restoreTime(e.Dir)
}

func (s *Swap) takeFrom(target string, e entry) error {
	if e.Link {
		return s.do("take", func() error { return os.RemoveAll(target) })
	}
	if err := s.leave(e, &target); err != nil {
		return err
	}
	return s.unstash(e, target)
}

// leave moves what was shown to where it lies afterwards. A command may have removed it, or have put another thing in its place: a
// directory is what the cache is now, and anything else nothing.
func (s *Swap) leave(e entry, target *string) error {
	if e.Link || exists(e.In) || exists(e.Out) {
		return nil // it did not get there, or was taken already
	}
	if target != nil && exists(*target) {
		fi, err := os.Lstat(*target)
		if err != nil {
			return err
		}
		if fi.IsDir() || e.Kind != Lent {
			return s.do("take", func() error { return os.Rename(*target, e.Out) })
		}
		if err := s.do("take", func() error { return os.RemoveAll(*target) }); err != nil {
			return err
		}
	}
	mode, uid, gid := uint32(0o700), 0, 0
	if e.Kind == Lent {
		mode, uid, gid = e.Mode, int(e.UID), int(e.GID)
	}
	return s.do("take", func() error { return s.makeWhole(e.Out, mode, uid, gid) })
}

// unmake removes the directories that were made on the way, if the command has not made use of them.
func (s *Swap) unmake(e entry) error {
	for _, name := range slices.Backward(e.Made) {
		dir, err := s.directory(path.Dir(name))
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return err
		}
		err = s.unmakeIn(dir, path.Base(name), e.Link)
		dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unmakeIn removes a directory that is as it was made. One that is far may be half made.
func (s *Swap) unmakeIn(dir *os.File, name string, far bool) error {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || !far && st.Mode != unix.S_IFDIR|0o755 || st.Uid != uint32(os.Geteuid()) || st.Gid != uint32(os.Getegid()) {
		return nil
	}
	err = s.do("unmake", func() error { return unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR) })
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
