package layers

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// ExtractOptions says how Extract unpacks.
type ExtractOptions struct {
	// UID and GID, if set, are the owner of everything that is unpacked, in the place of what the archive says.
	UID, GID *int
	// Alone unpacks as if the draft had no parent: its links are not followed, its files are in nobody's way.
	Alone bool
	// MaxBytes limits the size of the unpacked tar, and of the files in it with their holes. 0 is 1 TiB.
	MaxBytes int64
	// Notice, if set, is told what could not be unpacked, once for each kind.
	Notice func(text string)
}

// Extract unpacks an archive (an uncompressed tar) into a draft at the directory dest, as ADD does. Links of dest are
// followed within the root, those on the way to an entry within dest. Directories are merged, anything else is replaced.
// Names that start with .wh. are not special.
func Extract(ctx context.Context, r io.Reader, d *Draft, dest string, o ExtractOptions) error {
	t, err := newTree(d.Dir())
	if err != nil {
		return fmt.Errorf("unpacking an archive: %w", err)
	}
	defer t.close()
	lower := d.Lower()
	if o.Alone {
		lower = NewView()
	}
	x := &extractor{tree: t, draft: d, view: lower.over(d.Dir())}
	if x.dest, _, err = x.view.Resolve(dest, true); err != nil && !isNotExist(err) {
		return fmt.Errorf("unpacking an archive to %s: %w", clean(dest), err)
	}
	x.dest = strings.TrimPrefix(x.dest, "/")
	t.open, t.reopen = x.open, x.open
	a := &applier{tree: t, notices: newNotices(o.Notice), uid: o.UID, gid: o.GID, under: x.dest, copyUp: x.copyUp, limit: limitOr(o.MaxBytes)}
	if _, _, err := t.parent(path.Join(x.dest, "x")); err != nil {
		return fmt.Errorf("unpacking an archive to %s: %w", clean(dest), err)
	}
	if err := a.entries(ctx, tar.NewReader(codec.Limit(ctx, r, a.limit))); err != nil {
		return err
	}
	return a.finish(lower)
}

// extractor finds the places where Extract writes: in the upper directory, at the path that the merged view resolves to.
type extractor struct {
	tree  *tree
	draft *Draft
	view  *View
	dest  string
}

// resolve follows the links of a name below the destination as a process whose root is that would.
func (x *extractor) resolve(name string) (string, *Entry, error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, x.dest), "/")
	return x.view.resolve("/"+x.dest, rest, true)
}

// open returns the directory of the merged view in the upper directory, copied up, and made where it is missing.
func (x *extractor) open(name string) (int, error) {
	real, e, err := x.resolve(name)
	switch {
	case isNotExist(err):
		err = x.mkdirs(real)
	case err == nil && !e.IsDir():
		err = unix.ENOTDIR
	case err == nil:
		err = x.draft.CopyUp(real)
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
		if !isNotExist(err) {
			return err
		}
		if err := x.mkdir(dir, part); err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) mkdir(dir, base string) error {
	if err := x.draft.CopyUp(dir); err != nil {
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

// copyUp brings the directory name, which the archive names as well, into the upper directory.
func (x *extractor) copyUp(name string) error {
	dir, _, err := x.resolve(strings.TrimPrefix(path.Dir(name), "."))
	if err != nil {
		return err
	}
	return x.draft.CopyUp(path.Join(dir, path.Base(name)))
}
