// This file owns single files that a COPY places, which lie in no tree.

package files

import (
	"io"
	"iter"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// singleFile is the Tree of one open file.
type singleFile struct{ file *os.File }

// Lstat, ReadDir and Open make it a Tree in which nothing is found by a path.
func (s singleFile) Lstat(name string) (*Node, error) { return nil, missing(name) }

func (s singleFile) ReadDir(*Node) iter.Seq2[*Node, error] {
	return func(func(*Node, error) bool) {}
}

func (s singleFile) Open(*Node) (*os.File, error) {
	fd, err := unix.FcntlInt(s.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), s.file.Name())
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// setTime gives an open file, and its node, a time.
func setTime(f *os.File, n *Node, t time.Time) error {
	spec, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	tv := []unix.Timeval{unix.NsecToTimeval(unix.TimespecToNsec(spec)), unix.NsecToTimeval(unix.TimespecToNsec(spec))}
	if err := unix.Futimes(int(f.Fd()), tv); err != nil {
		return err
	}
	fresh, err := nodeOf(f, n.Path, n.Mode&0o7777)
	if err == nil {
		*n = *fresh
	}
	return err
}
