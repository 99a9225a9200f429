// Unpacking the archive of an ADD over what is there. The entries are made by an Applier; this file says where they go, which
// depends on the links of the files below.

package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// ExtractOptions says how Extract unpacks.
type ExtractOptions struct {
	// UID and GID, if set, are the owner of everything that is unpacked, in the place of what the archive says.
	UID, GID *int
	// Alone unpacks as if there were no lower files: its links are not followed, its files are in nobody's way.
	Alone bool
	// Notice, if set, is told what could not be unpacked, once for each kind.
	Notice func(text string)
}

// mostUnpacked is how many bytes an archive may unpack to.
const mostUnpacked = 1 << 40

// Extract unpacks an archive (an uncompressed tar) into upper at the directory dest, as ADD does. Links of dest are
// followed within the root, those on the way to an entry within dest. Directories are merged, anything else is replaced.
// Names that start with .wh. are not special.
func Extract(ctx context.Context, r io.Reader, upper Upper, dest string, o ExtractOptions) error {
	x, err := newExtractor(upper, dest, o)
	if err != nil {
		return fmt.Errorf("unpacking an archive to %s: %w", clean(dest), err)
	}
	a := newApplier(x.tree, x, applying{limit: mostUnpacked, uid: o.UID, gid: o.GID, under: x.dest}, o.Notice)
	defer a.Close()
	if _, _, err := a.dirOf(path.Join(x.dest, "x")); err != nil {
		return fmt.Errorf("unpacking an archive to %s: %w", clean(dest), err)
	}
	if err := wholeArchive(ctx, r, a.entries); err != nil {
		return err
	}
	return a.Finish(x.upper.Lower)
}

// wholeArchive unpacks the entries of an archive, and sees that nothing is missing behind them.
func wholeArchive(ctx context.Context, r io.Reader, entries func(context.Context, *tar.Reader) error) error {
	limited := codec.Limit(ctx, r, mostUnpacked)
	if err := entries(ctx, tar.NewReader(limited)); err != nil {
		return err
	}
	if err := codec.ReadToEnd(limited); err != nil {
		return fmt.Errorf("reading the tar to its end: %w", err)
	}
	return nil
}

// extractor finds the places where Extract writes: in the upper directory, at the path that the merged view resolves to.
type extractor struct {
	tree  *tree
	upper Upper // gets the files; below it is what the archive may see
	files Upper // the same over all that is there
	view  *View
	dest  string
}

func newExtractor(upper Upper, dest string, o ExtractOptions) (*extractor, error) {
	x := &extractor{upper: upper, files: upper}
	if o.Alone {
		x.upper.Lower = NewView()
	}
	x.view = x.upper.View()
	var err error
	if x.dest, _, err = x.view.Resolve(dest, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	x.dest = strings.TrimPrefix(x.dest, "/")
	x.tree, err = newTree(upper.Dir)
	return x, err
}

// resolve follows the links of a name below the destination as a process whose root is that would.
func (x *extractor) resolve(name string) (string, *Entry, error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, x.dest), "/")
	return x.view.resolve("/"+x.dest, rest, true)
}

// open implements places: it returns the directory of the merged view in the upper directory, copied up, and made where it is
// missing.
func (x *extractor) open(name string) (int, error) {
	real, e, err := x.resolve(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = x.mkdirs(real)
	case err == nil && !e.IsDir():
		err = unix.ENOTDIR
	case err == nil:
		err = x.files.CopyUp(real)
	}
	if err != nil {
		return -1, err
	}
	return x.tree.lookup(strings.TrimPrefix(real, "/"))
}

// mkdirs makes the missing directories of a path without links.
func (x *extractor) mkdirs(real string) error {
	at := "/"
	for _, part := range split(real) {
		dir := at
		at = path.Join(at, part)
		e, err := x.view.Lstat(at)
		if err == nil && e.IsDir() {
			continue
		}
		if err == nil {
			return unix.ENOTDIR
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := x.mkdir(dir, part); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes one directory in the upper directory. One in the place of a whiteout hides what is below.
func (x *extractor) mkdir(dir, base string) error {
	if err := x.files.CopyUp(dir); err != nil {
		return err
	}
	fd, err := x.tree.lookup(strings.TrimPrefix(dir, "/"))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	st, err := statAt(fd, base)
	if err != nil {
		return err
	}
	if st != nil { // a whiteout, or the view would have it
		if err := unix.Unlinkat(fd, base, 0); err != nil {
			return err
		}
	}
	return x.tree.mkdir(fd, base, st != nil)
}

// reopen implements places.
func (x *extractor) reopen(name string) (int, error) { return x.open(name) }

// keep implements places: it brings the directory, which the archive names as well, into the upper directory.
func (x *extractor) keep(name string) error {
	dir, _, err := x.resolve(strings.TrimPrefix(path.Dir(name), "."))
	if err != nil {
		return err
	}
	return x.files.CopyUp(path.Join(dir, path.Base(name)))
}
