// This file owns archives: what is one, and how one is unpacked into a directory of this machine.
// An archive of a context is the text of a stranger: names with "..", links and devices in it must do no harm.

package files

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// isArchive says whether a file is a tar, compressed or not, and rewinds it.
func isArchive(f *os.File) (bool, error) {
	found := startsTar(f)
	_, err := f.Seek(0, io.SeekStart)
	return found, err
}

// startsTar says whether what follows is a tar. The first entry must be whole: that much is read.
func startsTar(r io.Reader) bool {
	plain, err := codec.Decompress(r)
	if err != nil {
		return false
	}
	defer plain.Close()
	_, err = tar.NewReader(plain).Next()
	return err == nil
}

// unpackTar unpacks the archive of a context. Owners do not matter, as a context has none; devices are left out. Nothing
// is written outside of root.
func unpackTar(ctx context.Context, r io.Reader, root *os.Root) error {
	t := tar.NewReader(r)
	dirs := map[string]dirTimes{}
	for {
		h, err := t.Next()
		if err == io.EOF { //nolint:errorlint // A stream ends with io.EOF itself.
			return finishDirs(root, dirs)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		name := local(path.Clean("/" + h.Name))
		if name == "." {
			continue
		}
		if err := unpackEntry(root, t, h, name); err != nil {
			return fmt.Errorf("unpacking %s: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeDir {
			dirs[name] = dirTimes{h.Mode, h.ModTime}
		}
	}
}

// unpackEntry unpacks one entry over what is there. A directory does not make way for a file.
func unpackEntry(root *os.Root, r io.Reader, h *tar.Header, name string) error {
	// An archive need not name the directories above its files.
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return root.MkdirAll(name, 0o755)
	}
	if info, err := root.Lstat(name); err == nil {
		if info.IsDir() {
			return errors.New("a directory is in its place")
		}
		// The old file is removed, not written into: it may be a link, or have another name.
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return unpackFile(root, r, h, name)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		// A hard link is named from the root of the archive, and cannot climb out of it.
		return root.Link(local(path.Clean("/"+h.Linkname)), name)
	}
	return nil
}

// unpackFile writes a regular file, which is not there, and gives it its mode and time.
func unpackFile(root *os.Root, r io.Reader, h *tar.Header, name string) (err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	if err := unix.Fchmod(int(f.Fd()), uint32(h.Mode)&0o7777); err != nil {
		return err
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}

// finishDirs sets modes and times of directories when nothing is put into them any more.
func finishDirs(root *os.Root, dirs map[string]dirTimes) error {
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(dirs))) { // what is in a directory before it may be shut
		d := dirs[name]
		if err := cmp.Or(root.Chmod(name, fromBits(uint32(d.mode))), root.Chtimes(name, d.modified, d.modified)); err != nil {
			return fmt.Errorf("unpacking %s: %w", name, err)
		}
	}
	return nil
}

// dirTimes are what a directory gets at the end; of entries for one that is there again, those of the last.
type dirTimes struct {
	mode     int64
	modified time.Time
}

// fromBits is the os.FileMode of permissions in st_mode.
func fromBits(bits uint32) os.FileMode { return toFileMode(&Node{Mode: bits & 0o7777}) }
