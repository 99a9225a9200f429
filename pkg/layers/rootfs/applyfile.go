// What one entry of a tar becomes: a file, a directory, a link, a node, or the mark that removes something below.

package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
)

const (
	// WhiteoutPrefix begins the name of an entry of a layer that removes something below it.
	WhiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// openParent is the directory that was used last. It stays open, since mostly the next file lies in it, too. Nothing need
// close it because of a change: what is changed in that directory does not change where its own name leads.
type openParent struct {
	name string
	fd   int // -1: none is open
}

func (p *openParent) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
	p.fd = -1
}

// dirOf returns the directory that name lies in, which it makes if it must, and the last element of name. The
// descriptor is good until the next call.
func (a *Applier) dirOf(name string) (int, string, error) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if a.parent.fd >= 0 && a.parent.name == dir {
		return a.parent.fd, base, nil
	}
	fd, err := a.places.open(dir)
	if err != nil {
		return -1, "", fmt.Errorf("opening the directory %q: %w", dir, err)
	}
	a.parent.close()
	a.parent = openParent{dir, fd}
	return fd, base, nil
}

// rootEntry handles "./": the metadata of the root directory.
func (a *Applier) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return errors.New("the root can only be a directory")
	}
	if !a.how.overlay {
		return nil // the archive of an ADD does not change the directory that it is unpacked into
	}
	a.times = append(a.times, dirTime{"", h.ModTime})
	return a.dirMetadata(int(a.tree.root.Fd()), ".", h)
}

// whiteout handles the entries that remove something of the layers below. What this layer itself has stays, in whatever
// order its entries come.
func (a *Applier) whiteout(dir, base string) error {
	target := strings.TrimPrefix(base, WhiteoutPrefix)
	switch {
	case base == whiteoutOpaque:
		return a.opaque(dir)
	case strings.HasPrefix(target, WhiteoutPrefix):
		return nil // metadata of AUFS, such as .wh..wh.plnk
	case target == "" || target == "." || target == "..":
		return errors.New("a whiteout of nothing")
	}
	fd, base, err := a.dirOf(path.Join(dir, target))
	if err != nil {
		return err
	}
	st, err := statAt(fd, base)
	switch {
	case err != nil:
		return err
	case st == nil:
		return whiteoutAt(fd, base)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return SetOpaqueAt(fd, base)
	}
	return nil
}

// opaque hides what the layers below have in a directory.
func (a *Applier) opaque(dir string) error {
	if dir == "." {
		return SetOpaqueAt(int(a.tree.root.Fd()), ".")
	}
	fd, _, err := a.dirOf(dir + "/x")
	if err != nil {
		return err
	}
	return SetOpaqueAt(fd, ".")
}

// file makes what the entry describes, in the place of anything that this layer has put there before.
func (a *Applier) file(name string, h *tar.Header, body io.Reader) error {
	fd, base, err := a.dirOf(name)
	if err != nil {
		return err
	}
	if len(a.tree.implied) > 0 {
		delete(a.tree.implied, path.Join(a.tree.pathOf(fd), base))
	}
	if h.Typeflag == tar.TypeDir {
		if err := a.places.keep(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return a.directory(fd, base, name, h)
	case tar.TypeLink:
		return a.hardlink(fd, base, name, h.Linkname)
	case tar.TypeReg, 0, tar.TypeGNUSparse, tar.TypeCont: // old tars have NUL for a file
		err = a.regular(fd, base, h, body)
	case tar.TypeSymlink:
		err = a.replace(fd, base, func() error { return unix.Symlinkat(h.Linkname, fd, base) })
		if err == nil {
			err = a.lchown(fd, base, h)
		}
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		return a.special(fd, base, name, h)
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	if err == nil {
		err = setTimes(fd, base, h.ModTime)
	}
	return err
}

// replace calls make, and once more without what is in its way.
func (a *Applier) replace(fd int, base string, make func() error) error {
	err := make()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := a.tree.clear(fd, base); err != nil {
		return fmt.Errorf("replacing what was there: %w", err)
	}
	return make()
}

// regular makes a regular file. It has its name before it has its content; nobody looks at it before the layer is complete.
func (a *Applier) regular(dir int, base string, h *tar.Header, body io.Reader) error {
	var fd int
	err := a.replace(dir, base, func() (err error) {
		fd, err = unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	err = copySparse(f, body, h.Size, &a.buffer)
	if err == nil {
		err = chown(fd, h)
	}
	if err == nil {
		err = a.setXattrs(fd, h)
	}
	if err == nil {
		err = unix.Fchmod(fd, uint32(h.Mode)&0o7777)
	}
	return errors.Join(err, f.Close())
}

const copyBlock = 256 << 10

// copySparse copies the body, and leaves holes for blocks of zeros. The disk begins to write while the rest still comes.
func copySparse(f *os.File, body io.Reader, size int64, buffer *[]byte) error {
	if *buffer == nil {
		*buffer = make([]byte, copyBlock)
	}
	hole, behind := false, durable.Behind{File: f}
	for done := int64(0); done < size; {
		n, err := io.ReadFull(body, (*buffer)[:min(size-done, copyBlock)])
		if err != nil {
			return fmt.Errorf("reading the file's content: %w", err)
		}
		chunk := (*buffer)[:n]
		hole = n == copyBlock && allZero(chunk)
		if !hole {
			if _, err := f.WriteAt(chunk, done); err != nil {
				return err
			}
		}
		done += int64(n)
		behind.Reached(done)
	}
	if hole {
		return f.Truncate(size)
	}
	return nil
}

// allZero compares the bytes with themselves, one further on: bytes.Equal looks at many at once.
func allZero(b []byte) bool {
	return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// directory makes a directory, or takes the one that is there. Where this layer has put something else, that goes; where it has put
// a whiteout, the directory hides what is below.
func (a *Applier) directory(fd int, base, name string, h *tar.Header) error {
	st, err := statAt(fd, base)
	if err != nil {
		return err
	}
	switch {
	case st != nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
	case st == nil:
		err = a.tree.mkdir(fd, base, false)
	default:
		opaque := isWhiteoutAt(fd, base, st)
		if err = a.tree.clear(fd, base); err == nil {
			err = a.tree.mkdir(fd, base, opaque)
		}
	}
	if err != nil {
		return err
	}
	a.times = append(a.times, dirTime{name, h.ModTime})
	return a.dirMetadata(fd, base, h)
}

// dirMetadata gives a directory its owner, attributes and mode. The time follows in Finish.
func (a *Applier) dirMetadata(fd int, base string, h *tar.Header) error {
	dir, err := unix.Openat(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := chown(dir, h); err != nil {
		return err
	}
	if err := a.setXattrs(dir, h); err != nil {
		return err
	}
	return unix.Fchmod(dir, uint32(h.Mode)&0o7777)
}

// special makes FIFOs and device nodes.
func (a *Applier) special(fd int, base, name string, h *tar.Header) error {
	mode, dev := uint32(unix.S_IFIFO), uint64(0)
	switch h.Typeflag {
	case tar.TypeChar:
		mode = unix.S_IFCHR
	case tar.TypeBlock:
		mode = unix.S_IFBLK
	}
	if isDevice(mode) {
		dev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	}
	if isWhiteout(mode, dev) {
		a.notices.add("device", "left out the device node %s: 0/0 is what removes a file", name)
		return nil
	}
	err := a.replace(fd, base, func() error { return MakeNode(fd, base, mode, dev) })
	if err == nil {
		err = a.lchown(fd, base, h)
	}
	if err == nil {
		err = unix.Fchmodat(fd, base, uint32(h.Mode)&0o7777, 0)
	}
	if err == nil {
		err = setTimes(fd, base, h.ModTime)
	}
	return err
}
