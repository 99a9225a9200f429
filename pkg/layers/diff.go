package layers

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// DiffOptions says how WriteDiff writes.
type DiffOptions struct {
	// Epoch, if set, is the latest time (Unix seconds) that anything in the tar has: later ones are set to it.
	Epoch *int64
}

// WriteDiff writes a snapshot directory (an overlay upper directory) as the tar of a layer over lower. The tar depends on
// nothing but the names, content, modes, owners, attributes and whole seconds of the files: names are sorted, headers are
// plain where they can be. What is the same as in lower is left out. Sockets are left out, as in every image.
func WriteDiff(ctx context.Context, w io.Writer, snapshot string, lower *View, o DiffOptions) error {
	root, err := lstat(snapshot, "/")
	if err != nil {
		return fmt.Errorf("writing a layer: %w", err)
	}
	if lower == nil {
		lower = NewView()
	}
	d := &differ{ctx: ctx, tar: tar.NewWriter(w), lower: lower, epoch: o.Epoch, names: map[uint64]string{},
		buffer: make([]byte, 1<<20)}
	below, err := lower.Lstat("/")
	if err != nil {
		return fmt.Errorf("writing a layer: %w", err)
	}
	same, err := d.sameMetadata(root, below)
	if err != nil {
		return fmt.Errorf("writing a layer: %w", err)
	}
	if !same {
		if err := d.header(root, nil); err != nil {
			return fmt.Errorf("writing a layer: %w", err)
		}
	}
	if err := d.children(root, below); err != nil {
		return fmt.Errorf("writing a layer: %w", err)
	}
	if err := d.tar.Close(); err != nil {
		return fmt.Errorf("writing a layer: %w", err)
	}
	return nil
}

type differ struct {
	ctx    context.Context
	tar    *tar.Writer
	lower  *View
	epoch  *int64
	names  map[uint64]string // of files with more names than one: inode -> the name in the tar
	open   []*Entry          // directories on the way that are written only if something in them is
	buffer []byte
}

// children writes what is in the directory dir. below is the directory that it is merged with, nil if there is none.
func (d *differ) children(dir, below *Entry) error {
	names, err := readNames(dir.source)
	if err != nil {
		return err
	}
	sort.Strings(names)
	if below != nil && isOpaque(dir.source) {
		if err := d.hideBelow(dir); err != nil {
			return err
		}
		below = nil
	}
	for _, name := range names {
		if err := d.ctx.Err(); err != nil {
			return context.Cause(d.ctx)
		}
		e, err := lstat(dir.source+"/"+name, path.Join(dir.Path, name))
		if err != nil {
			return err
		}
		if err := d.entry(e, below); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// hideBelow marks an opaque directory, if there is anything in it to be hidden: the kernel makes almost every new
// directory opaque.
func (d *differ) hideBelow(dir *Entry) error {
	hidden, err := d.lower.ReadDir(dir.Path)
	if err != nil || len(hidden) == 0 {
		return err
	}
	return d.marker(path.Join(dir.Path, whiteoutOpaque))
}

var errWhiteoutName = errors.New("a name that starts with .wh. cannot be put into a layer: it would remove a file")

// entry writes one name of a directory whose counterpart below is parent.
func (d *differ) entry(e, parent *Entry) error {
	var below *Entry
	if parent != nil {
		var err error
		if below, err = d.lower.Lstat(e.Path); err != nil && !isNotExist(err) {
			return err
		}
	}
	switch {
	case e.isWhiteout() && below == nil:
		return nil
	case e.isWhiteout():
		return d.marker(path.Join(path.Dir(e.Path), whiteoutPrefix+e.Name))
	case strings.HasPrefix(e.Name, whiteoutPrefix):
		return hinted(errWhiteoutName, "rename it")
	case e.Type() == unix.S_IFSOCK:
		return nil
	case e.IsDir():
		return d.directory(e, below)
	}
	same, err := d.same(e, below)
	if err != nil || same {
		return err
	}
	return d.file(e)
}

func (d *differ) directory(e, below *Entry) error {
	if below != nil && !below.IsDir() {
		below = nil
	}
	same, err := d.sameMetadata(e, below)
	if err != nil {
		return err
	}
	d.open = append(d.open, e)
	depth := len(d.open)
	if !same {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if err := d.children(e, below); err != nil {
		return err
	}
	if len(d.open) >= depth {
		d.open = d.open[:depth-1]
	}
	return nil
}
