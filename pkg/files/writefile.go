// This file owns the writing of single files into a directory.
// Several names of one file stay names of one file, as far as one pick takes them: the placer says which.

package files

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// put makes what is no directory in the current directory, in the place of what is there.
func (s *dirSink) put(f *placed) error {
	if err := s.open(); err != nil {
		return err
	}
	if !s.top().fresh {
		if err := unix.Unlinkat(s.fd(), f.Name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("replacing %s: %w", f.Path, err)
		}
	}
	if err := s.create(f); err != nil {
		return fmt.Errorf("copying to %s: %w", f.Path, err)
	}
	return nil
}

// create makes what an entry is: a file, a link, or what else a file system can hold.
func (s *dirSink) create(f *placed) error {
	switch {
	case f.first != "":
		return unix.Linkat(s.fd(), relative(s.top().path, f.first), s.fd(), f.Name, 0)
	case f.IsRegular():
		return s.copyFile(f)
	case f.IsSymlink():
		if err := unix.Symlinkat(f.Link, s.fd(), f.Name); err != nil {
			return err
		}
		if err := s.chown(f.Entry, false); err != nil {
			return err
		}
		return s.touch(f.Name, f.Entry)
	}
	kind := f.Type()
	if kind == unix.S_IFSOCK { // nothing listens on a copy; BuildKit makes an empty file of it, too
		kind = unix.S_IFREG
	}
	if err := rootfs.MakeNode(s.fd(), f.Name, kind, f.Rdev); err != nil {
		return err
	}
	if err := s.chown(f.Entry, false); err != nil {
		return err
	}
	if err := unix.Fchmodat(s.fd(), f.Name, f.Mode&0o7777, 0); err != nil {
		return err
	}
	return s.touch(f.Name, f.Entry)
}

// copyFile copies the bytes and the attributes of a regular file, and checks that they are what was listed.
func (s *dirSink) copyFile(f *placed) (err error) {
	src, err := f.Content.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	xattrs, err := f.Content.Xattrs(src)
	if err != nil {
		return err
	}
	dst, err := s.newFile(f.Name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, dst.Close()) }()
	if err := s.copyData(dst, src, f.Size); err != nil {
		return err
	}
	if err := f.Content.Unchanged(src); err != nil {
		return err
	}
	return s.finish(dst, f, xattrs)
}

// newFile makes a file that only its maker can read until it has its owner.
func (s *dirSink) newFile(name string) (*os.File, error) {
	fd, err := unix.Openat(s.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// finish sets the metadata of a new regular file. Writing and a change of the owner drop capabilities and setuid bits,
// so those come after.
func (s *dirSink) finish(dst *os.File, f *placed, xattrs map[string][]byte) error {
	if err := s.chown(f.Entry, false); err != nil {
		return err
	}
	if err := s.setFileXattrs(dst, f.Path, xattrs); err != nil {
		return err
	}
	if err := unix.Fchmod(int(dst.Fd()), f.Mode&0o7777); err != nil {
		return err
	}
	return s.touch(f.Name, f.Entry)
}

// shareFrom is the size from which it is worth the call to ask the filesystem to share blocks.
const shareFrom = 64 << 10

// copyData fills dst, sharing the blocks of src where the filesystem can, else by copy_file_range, else by hand (both
// of which io.Copy does).
func (s *dirSink) copyData(dst, src *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	if size >= shareFrom && !s.noClone {
		if unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil {
			return nil
		}
		s.noClone = true
	}
	n, err := io.Copy(dst, io.LimitReader(src, size))
	if err == nil && n != size {
		err = fmt.Errorf("read %d of %d bytes", n, size)
	}
	return err
}
