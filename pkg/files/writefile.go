// This file owns the writing of single files into a directory.
// Several names of one file stay names of one file, as far as one pick takes them.

package files

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// file copies anything but a directory under its own name.
func (w *writer) file(_ string, n *Node) error { return w.put(n, path.Base(n.Path)) }

// put copies n, which is no directory, into the current directory.
func (w *writer) put(n *Node, name string) error {
	target := path.Join(w.top().path, name)
	if err := w.clear(name, target); err != nil {
		return err
	}
	if err := w.create(n, name, target); err != nil {
		return fmt.Errorf("copying to %s: %w", target, err)
	}
	return nil
}

// clear removes what a file takes the place of. A directory is not replaced.
func (w *writer) clear(name, target string) error {
	if w.top().fresh {
		return nil
	}
	e, err := w.view.Lstat(target)
	if err == nil && e.IsDir() {
		return fmt.Errorf("cannot replace directory %s with file", target)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = unix.Unlinkat(int(w.top().fd.Fd()), name, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("replacing %s: %w", target, err)
	}
	return nil
}

// create makes what a node is: a file, a link, or what else a file system can hold.
func (w *writer) create(n *Node, name, target string) error {
	fd := int(w.top().fd.Fd())
	switch n.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return w.createFile(n, name, target)
	case unix.S_IFLNK:
		if err := unix.Symlinkat(n.Link, fd, name); err != nil {
			return err
		}
		if err := w.chown(name, w.ownerOf(n)); err != nil {
			return err
		}
		return w.touch(name, n)
	case unix.S_IFSOCK: // nothing listens on a copy; BuildKit makes an empty file of it, too
		if err := unix.Mknodat(fd, name, unix.S_IFREG|0o600, 0); err != nil {
			return err
		}
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		if n.Mode&unix.S_IFMT == unix.S_IFCHR && n.Rdev == 0 {
			return errors.New("character device 0:0 stands for a removed file in a layer and cannot be copied")
		}
		if err := unix.Mknodat(fd, name, n.Mode&unix.S_IFMT|0o600, int(n.Rdev)); err != nil {
			return err
		}
	}
	if err := w.own(name, w.ownerOf(n), w.chmod.apply(n)); err != nil {
		return err
	}
	return w.touch(name, n)
}

// createFile copies a regular file, or links it to a copy of another of its names that this pick made.
func (w *writer) createFile(n *Node, name, target string) error {
	inode := [2]uint64{n.Dev, n.Ino}
	if first, ok := w.links[inode]; ok && n.Nlink > 1 {
		return unix.Linkat(int(w.top().fd.Fd()), relative(w.top().path, first), int(w.top().fd.Fd()), name, 0)
	}
	if err := w.copyFile(n, name, target); err != nil {
		return err
	}
	if n.Nlink > 1 && w.links != nil {
		w.links[inode] = target
	}
	return nil
}

// copyFile copies the bytes and the attributes of a regular file, and checks that they are what was listed.
func (w *writer) copyFile(n *Node, name, target string) (err error) {
	src, err := w.tree.Open(n)
	if err != nil {
		return err
	}
	defer src.Close()
	xattrs, err := xattrsOf(n, src)
	if err != nil {
		return err
	}
	dst, err := w.newFile(name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, dst.Close()) }()
	if err := w.copyData(dst, src, n.Size); err != nil {
		return err
	}
	if err := unchanged(src, n); err != nil {
		return err
	}
	return w.finish(dst, n, name, target, xattrs)
}

// newFile makes a file that only its maker can read until it has its owner.
func (w *writer) newFile(name string) (*os.File, error) {
	fd, err := unix.Openat(int(w.top().fd.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// finish sets the metadata of a new regular file. Writing and a change of the owner drop capabilities and setuid bits,
// so those come after.
func (w *writer) finish(dst *os.File, n *Node, name, target string, xattrs map[string][]byte) error {
	if err := w.chown(name, w.ownerOf(n)); err != nil {
		return err
	}
	if err := w.setFileXattrs(dst, target, xattrs); err != nil {
		return err
	}
	if err := unix.Fchmod(int(dst.Fd()), w.chmod.apply(n)); err != nil {
		return err
	}
	return w.touch(name, n)
}

// shareFrom is the size from which it is worth the call to ask the filesystem to share blocks.
const shareFrom = 64 << 10

// copyData fills dst, sharing the blocks of src where the filesystem can, else by copy_file_range, else by hand (both
// of which io.Copy does).
func (w *writer) copyData(dst, src *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	if size >= shareFrom && !w.noClone {
		if unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil {
			return nil
		}
		w.noClone = true
	}
	n, err := io.Copy(dst, io.LimitReader(src, size))
	if err == nil && n != size {
		err = fmt.Errorf("read %d of %d bytes", n, size)
	}
	return err
}
