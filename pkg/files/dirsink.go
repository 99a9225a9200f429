// This file owns the sink that is a directory: how directories are made and entered, and given owners, modes, times and attributes.
// A change of the owner drops setuid bits and capabilities, and writing changes times: so the order is owner, attributes, mode,
// time, everywhere.

package files

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// dirSink is the upper directory of a draft, or a plain directory. Every file is made by the descriptor of its directory and
// never through a link.
type dirSink struct {
	root    *os.Root
	copyUp  func(dir string) error // makes a directory that is below in the upper directory
	notice  func(text string)
	stack   []*outDir
	noClone bool // the filesystem cannot share blocks with that of the sources
}

// outDir is a directory that files are being put into.
type outDir struct {
	path   string
	fresh  bool     // made by this copy: nothing can be in the way
	fd     *os.File // nil until something is put into it
	setgid bool     // gives its group to what is made in it
}

// draftSink writes into a draft, and returns what it writes over: what the parent has, or for --link nothing.
func draftSink(d *layers.Draft, link bool) (*dirSink, *rootfs.View, error) {
	root, err := os.OpenRoot(d.Dir())
	if err != nil {
		return nil, nil, err
	}
	if link {
		return plainSink(root), rootfs.NewView(d.Dir()), nil
	}
	return &dirSink{root: root, copyUp: d.CopyUp}, d.View(), nil
}

// plainSink writes into a directory that has nothing below it.
func plainSink(root *os.Root) *dirSink {
	return &dirSink{root: root, copyUp: func(string) error { return nil }}
}

// close closes what an error left open, too.
func (s *dirSink) close() error {
	for len(s.stack) > 0 {
		s.pop()
	}
	return s.root.Close()
}

func (s *dirSink) top() *outDir { return s.stack[len(s.stack)-1] }

// pop goes back to the directory above.
func (s *dirSink) pop() {
	s.top().fd.Close() // which a nil file bears
	s.stack = s.stack[:len(s.stack)-1]
}

// open opens the current directory, where that was not done before.
func (s *dirSink) open() error {
	d := s.top()
	if d.fd != nil {
		return nil
	}
	if !d.fresh {
		if err := s.copyUp(d.path); err != nil {
			return err
		}
	}
	fd, err := s.root.Open(local(d.path))
	if err != nil {
		return err
	}
	d.fd = fd
	var st unix.Stat_t
	err = unix.Fstat(int(fd.Fd()), &st)
	d.setgid = st.Mode&unix.S_ISGID != 0
	return err
}

// fd is the descriptor of the current directory, which is open.
func (s *dirSink) fd() int { return int(s.top().fd.Fd()) }

// enter makes a directory that is not there. It opens none: many are only passed.
func (s *dirSink) enter(d *placed) error {
	if d.below == nil {
		if err := s.open(); err != nil {
			return err
		}
		if err := s.makeDir(d.Name); err != nil {
			return fmt.Errorf("making directory %s: %w", d.Path, err)
		}
	}
	s.stack = append(s.stack, &outDir{path: d.Path, fresh: d.below == nil})
	return nil
}

// makeDir makes a directory in the current one. Where the upper directory has a whiteout of that name, the new
// directory hides what is below, as the whiteout did.
func (s *dirSink) makeDir(name string) error {
	hidden := !s.top().fresh && unix.Unlinkat(s.fd(), name, 0) == nil
	if err := unix.Mkdirat(s.fd(), name, 0o700); err != nil {
		return err
	}
	if !hidden {
		return nil
	}
	return rootfs.SetOpaqueAt(s.fd(), name)
}

// leave gives a directory what it takes, when nothing more is put into it.
func (s *dirSink) leave(d *placed) error {
	if d.takes == nothing {
		s.pop()
		return nil
	}
	err := s.open() // one that was there, and is empty, may lie below only
	if err == nil && d.takes == itsTime {
		err = s.touch(".", d.Entry)
	}
	if s.pop(); err != nil || d.takes == itsTime {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := s.describeDir(d); err != nil {
		return fmt.Errorf("copying metadata to %s: %w", d.Path, err)
	}
	return nil
}

// describeDir gives a directory its metadata, or the mode of it alone.
func (s *dirSink) describeDir(d *placed) error {
	if d.takes == everything {
		if err := s.chown(d.Entry, d.below != nil); err != nil {
			return err
		}
		if err := s.setXattrs(d.Entry); err != nil {
			return err
		}
	}
	if err := unix.Fchmodat(s.fd(), d.Name, d.Mode&0o7777, 0); err != nil || d.takes == itsMode {
		return err
	}
	return s.touch(d.Name, d.Entry)
}

// chown gives what is in the current directory its owner. What was there may belong to anyone.
func (s *dirSink) chown(e *rootfs.Entry, there bool) error {
	if e.Owner() == (rootfs.Owner{}) && !s.top().setgid && !there {
		return nil
	}
	err := e.Owner().GiveAt(s.fd(), e.Name)
	if errors.Is(err, rootfs.ErrOwnerLost) {
		s.say("the owner of %s is left out: %v", e.Path, err)
		return nil
	}
	return err
}

// setXattrs gives a directory its attributes.
func (s *dirSink) setXattrs(e *rootfs.Entry) error {
	if e.Content == nil {
		return nil
	}
	xattrs, err := e.Content.Xattrs(nil)
	if err != nil || len(xattrs) == 0 {
		return err
	}
	f, err := s.root.Open(local(e.Path))
	if err != nil {
		return err
	}
	defer f.Close()
	return s.setFileXattrs(f, e.Path, xattrs)
}

// setFileXattrs leaves out what the file system of the store cannot hold, and says so.
func (s *dirSink) setFileXattrs(f *os.File, name string, xattrs map[string][]byte) error {
	for key, value := range xattrs {
		err := unix.Fsetxattr(int(f.Fd()), key, value, 0)
		if err == unix.ENOTSUP {
			s.say("%s of %s is left out: the filesystem of the store has no such attributes", key, name)
		} else if err != nil {
			return fmt.Errorf("setting %s of %s: %w", key, name, err)
		}
	}
	return nil
}

// say passes a notice on.
func (s *dirSink) say(format string, args ...any) {
	if s.notice != nil {
		s.notice(fmt.Sprintf(format, args...))
	}
}

// touch gives a name in the current directory the time of e.
func (s *dirSink) touch(name string, e *rootfs.Entry) error {
	t, err := unix.TimeToTimespec(e.ModTime)
	if err != nil {
		return fmt.Errorf("setting time of %s: %w", name, err)
	}
	return unix.UtimesNanoAt(s.fd(), name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
