// This file owns the unpacking of a tar that a stranger may have made, in a tree that a stranger may be changing.

package copying

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Unpack unpacks a tar in a directory below the root. Owners of files are those of the tar, or, without owners, this process.
func Unpack(r io.Reader, root *os.File, dir string, owners bool) error {
	at, err := open(root, dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	at.Close()
	u := &unpacker{root: root, dir: dir, owners: owners}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if err := u.place(h, in); err != nil {
			return fmt.Errorf("unpacking %s: %w", h.Name, err)
		}
	}
}

type unpacker struct {
	root   *os.File
	dir    string
	owners bool
	dirs   []*tar.Header // directories get their modes and times when all is in them
}

// inside is a name of the tar as a path below the root: no .. leads above the directory.
func (u *unpacker) inside(name string) string { return path.Join("/", u.dir, path.Clean("/"+name)) }

// parent opens the directory that a path lies in. Links on the way are followed inside of the root.
func (u *unpacker) parent(p string) (*os.File, string, error) {
	f, err := open(u.root, path.Dir(p), unix.O_PATH|unix.O_DIRECTORY)
	return f, path.Base(p), err
}

// place makes one file.
func (u *unpacker) place(h *tar.Header, content io.Reader) error {
	p := u.inside(h.Name)
	if h.Typeflag == tar.TypeDir && p == path.Join("/", u.dir) { // the directory itself, which is there
		return nil
	}
	at, name, err := u.parent(p)
	if err != nil {
		return err
	}
	defer at.Close()
	fd := int(at.Fd())
	var st unix.Stat_t
	there := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
	isDir := there && st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case h.Typeflag == tar.TypeDir && isDir:
		u.dirs = append(u.dirs, h)
		return nil
	case h.Typeflag == tar.TypeDir && there:
		return errors.New("a directory cannot be copied over a file")
	case isDir:
		return errors.New("a file cannot be copied over a directory")
	case there:
		if err := unix.Unlinkat(fd, name, 0); err != nil {
			return err
		}
	}
	if err := u.create(fd, name, h, content); err != nil || h.Typeflag == tar.TypeLink {
		return err
	}
	if u.owners {
		if err := unix.Fchownat(fd, name, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("giving it to %d:%d: %w", h.Uid, h.Gid, err)
		}
	}
	if h.Typeflag == tar.TypeDir {
		u.dirs = append(u.dirs, h)
		return nil
	}
	return u.settle(fd, name, h)
}

// create makes the file where nothing is.
func (u *unpacker) create(at int, name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return unix.Mkdirat(at, name, 0o700)
	case tar.TypeReg:
		fd, err := unix.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), name)
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	case tar.TypeSymlink:
		return unix.Symlinkat(h.Linkname, at, name)
	case tar.TypeLink:
		from, target, err := u.parent(u.inside(h.Linkname))
		if err != nil {
			return err
		}
		defer from.Close()
		return unix.Linkat(int(from.Fd()), target, at, name, 0)
	case tar.TypeFifo:
		return unix.Mknodat(at, name, unix.S_IFIFO|0o600, 0)
	case tar.TypeChar, tar.TypeBlock:
		kind := uint32(unix.S_IFCHR)
		if h.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		return unix.Mknodat(at, name, kind|0o600, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
	}
	return fmt.Errorf("an entry of the type %q is none that can be made", h.Typeflag)
}

// settle gives a file its mode and its time. The name may be another file's by now, in the same directory, which is the business of
// whoever changes it: no link is followed.
func (u *unpacker) settle(at int, name string, h *tar.Header) error {
	if h.Typeflag != tar.TypeSymlink {
		fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK {
			err = unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), uint32(h.Mode&0o7777))
		}
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	times := []unix.Timespec{unix.NsecToTimespec(h.ModTime.UnixNano()), unix.NsecToTimespec(h.ModTime.UnixNano())}
	return unix.UtimesNanoAt(at, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// finish settles the directories, the deepest first.
func (u *unpacker) finish() error {
	for i := len(u.dirs) - 1; i >= 0; i-- {
		h := u.dirs[i]
		at, name, err := u.parent(u.inside(h.Name))
		if err != nil {
			return err
		}
		err = u.settle(int(at.Fd()), name, h)
		at.Close()
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", h.Name, err)
		}
	}
	return nil
}
