// Writing one entry into a tar, and comparing it with what lies below: what is the same is not written.

package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// flush writes the directories on the way to what is written next.
func (d *differ) flush() error {
	for _, dir := range d.open {
		if err := d.header(dir, nil, nil); err != nil {
			return err
		}
	}
	d.open = d.open[:0]
	return nil
}

// marker writes an empty file, which is what a whiteout is in a tar.
func (d *differ) marker(name string) error {
	if err := d.flush(); err != nil {
		return err
	}
	return d.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"), ModTime: time.Unix(0, 0)})
}

// file writes anything but a directory.
func (d *differ) file(e *Entry) error {
	if err := d.flush(); err != nil {
		return err
	}
	if e.Nlink > 1 {
		inode := [2]uint64{e.Dev, e.Ino}
		if first, ok := d.names[inode]; ok {
			return d.header(e, nil, func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size, h.PAXRecords = tar.TypeLink, first, 0, nil })
		}
		d.names[inode] = strings.TrimPrefix(e.Path, "/")
	}
	if !e.IsRegular() {
		return d.header(e, nil, nil)
	}
	f, err := e.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := d.header(e, f, nil); err != nil {
		return err
	}
	if e.Size < codec.WholeFrom || d.files == nil {
		return d.content(e, f)
	}
	d.files.StartFile()
	defer d.files.EndFile()
	return d.content(e, f)
}

// diffBuffer is how many bytes of a file are read at once.
const diffBuffer = 1 << 20

// content writes the bytes of a regular file, which is open as f.
func (d *differ) content(e *Entry, f *os.File) error {
	if e.Size > diffBuffer {
		unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
	}
	// Without the wrapper io.CopyBuffer would let the tar copy with small buffers of its own. The limit spares a call for
	// each file, which would only find its end.
	d.buffer = codec.Room(d.buffer, int(min(e.Size, diffBuffer)), diffBuffer)
	n, err := io.CopyBuffer(struct{ io.Writer }{d.tar}, codec.WithContext(d.ctx, io.LimitReader(f, e.Size)), d.buffer[:cap(d.buffer)])
	if e.Content != nil {
		if changed := e.Content.Unchanged(f); changed != nil {
			return changed
		}
	}
	if err == nil && n != e.Size {
		err = fmt.Errorf("the file changed from %d to %d bytes while it was read", e.Size, n)
	}
	return err
}

// header writes the header of an entry, after change had its say. A regular file may be open as f.
func (d *differ) header(e *Entry, f *os.File, change func(*tar.Header)) error {
	h, err := e.Header()
	if err != nil {
		return err
	}
	h.ModTime = d.time(e.ModTime)
	xattrs, err := e.xattrs(f)
	if err != nil {
		return err
	}
	if d.o.Index != nil {
		written := *e
		written.ModTime = h.ModTime
		if err := d.o.Index.file(&written, f, xattrs); err != nil {
			return err
		}
	}
	SetXattrs(h, xattrs)
	if change != nil {
		change(h)
	}
	return d.tar.WriteHeader(h)
}

// time returns the time as a layer has it: in whole seconds, and none after the epoch.
func (d *differ) time(t time.Time) time.Time {
	seconds := t.Unix()
	if d.o.Epoch != nil {
		seconds = min(seconds, *d.o.Epoch)
	}
	return time.Unix(seconds, 0)
}

// sameMetadata says whether mode, owner and attributes are the same. below may be nil.
func (d *differ) sameMetadata(e, below *Entry) (bool, error) {
	if below == nil || e.Mode != below.Mode || e.UID != below.UID || e.GID != below.GID {
		return false, nil
	}
	a, err := e.Xattrs()
	if err != nil {
		return false, err
	}
	b, err := below.Xattrs()
	if err != nil {
		return false, err
	}
	return maps.EqualFunc(a, b, bytes.Equal), nil
}

// same says whether the layers below have the same file, so that it need not be written. A file with more names than one
// is always written: its other names may be new.
func (d *differ) same(e, below *Entry) (bool, error) {
	if below == nil || e.Nlink > 1 || e.Type() != below.Type() || !d.time(e.ModTime).Equal(d.time(below.ModTime)) {
		return false, nil
	}
	if e.Link != below.Link || e.IsRegular() && e.Size != below.Size || !e.IsRegular() && e.Rdev != below.Rdev {
		return false, nil
	}
	same, err := d.sameMetadata(e, below)
	if err != nil || !same || !e.IsRegular() {
		return same, err
	}
	return sameContent(e, below)
}

// sameContent compares bytes: a file that is written twice in one second has the same size and time easily.
func sameContent(a, b *Entry) (bool, error) {
	if a, b := a.ContentSum(), b.ContentSum(); a != nil && b != nil {
		return bytes.Equal(a, b), nil
	}
	fa, err := a.Open()
	if err != nil {
		return false, err
	}
	defer fa.Close()
	if want := b.ContentSum(); want != nil {
		xattrs, err := b.Xattrs() // they are the same
		if err != nil {
			return false, err
		}
		sum, err := contentSum(fa, a.Size, xattrs)
		return bytes.Equal(sum, want), err
	}
	fb, err := b.Open()
	if err != nil {
		return false, err
	}
	defer fb.Close()
	return EqualReaders(fa, fb)
}

// EqualReaders compares what is left of two files.
func EqualReaders(a, b *os.File) (bool, error) {
	var blocks [2][]byte
	for i := range blocks {
		blocks[i] = make([]byte, 128<<10)
	}
	for {
		n, errA := io.ReadFull(a, blocks[0])
		m, errB := io.ReadFull(b, blocks[1])
		if !bytes.Equal(blocks[0][:n], blocks[1][:m]) {
			return false, nil
		}
		if ended(errA) && ended(errB) {
			return true, nil
		}
		if err := errors.Join(errA, errB); err != nil {
			return false, err
		}
	}
}

func ended(err error) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF //nolint:errorlint // A stream ends with io.EOF itself.
}
