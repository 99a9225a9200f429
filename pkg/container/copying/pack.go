// This file owns the making of a tar.

package copying

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Pack writes what lies at a path below the root as a tar, whose first entry has a name. A link at the end of the path is copied as
// a link unless it is to be followed; those below never are.
func Pack(w io.Writer, root *os.File, from, name string, follow bool) error {
	flags := uint64(unix.O_PATH | unix.O_NOFOLLOW)
	if follow || contents(from) || strings.HasSuffix(from, "/") {
		flags = unix.O_PATH
	}
	f, err := open(root, from, flags)
	if err != nil {
		return err
	}
	defer f.Close()
	p := &packer{tar.NewWriter(w)}
	if err := p.add(f, name); err != nil {
		return err
	}
	return p.out.Close()
}

type packer struct{ out *tar.Writer }

// add writes one file, which is open as a path, and what is below it.
func (p *packer) add(f *os.File, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	h := &tar.Header{Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if err := p.out.WriteHeader(h); err != nil {
			return err
		}
		return p.addAll(f, name)
	case unix.S_IFREG:
		return p.addFile(f, h, st.Size)
	case unix.S_IFLNK:
		to := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(f.Fd()), "", to)
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(to[:n])
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
	default: // a socket is nothing without its program
		return nil
	}
	return p.out.WriteHeader(h)
}

// addFile writes a file with its content; one that grows meanwhile is what it was, and one that shrinks ends with zeros.
func (p *packer) addFile(f *os.File, h *tar.Header, size int64) error {
	in, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return fmt.Errorf("reading %s: %w", h.Name, err)
	}
	defer in.Close()
	h.Typeflag, h.Size = tar.TypeReg, size
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(p.out, io.LimitReader(in, size))
	if err == nil && n < size {
		_, err = io.CopyN(p.out, zeros{}, size-n)
	}
	return err
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// addAll writes what is in a directory, by its descriptor: nobody can put another one in its place.
func (p *packer) addAll(dir *os.File, name string) error {
	list, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	names, err := list.Readdirnames(-1)
	if err := errors.Join(err, list.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	slices.Sort(names)
	for _, child := range names {
		fd, err := unix.Openat(int(dir.Fd()), child, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) { // it has gone
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", path.Join(name, child), err)
		}
		f := os.NewFile(uintptr(fd), child)
		err = p.add(f, path.Join(name, child))
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
