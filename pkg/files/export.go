// This file owns the export of the files of a state as a tar.
// The tar has whole seconds and all ids, so that it is the same wherever it is made.

package files

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ExportOptions say how files are exported.
type ExportOptions struct {
	Directory string // one element: the files go into this directory; empty: to the top
	Delete    bool   // ExportLocal removes all else that is in the directory
}

// ExportTar writes the files of a state as one tar, with their owners. Hard links stay links.
func ExportTar(ctx context.Context, v *rootfs.View, w io.Writer, o ExportOptions) error {
	t := &treeTar{out: tar.NewWriter(w), view: v, seen: map[[2]uint64]string{}}
	if o.Directory != "" {
		t.prefix = o.Directory + "/"
		if err := t.out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: t.prefix, Mode: 0o755, Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("writing %s: %w", o.Directory, err)
		}
	}
	err := v.Walk("/", func(e *rootfs.Entry) error {
		if err := ctx.Err(); err != nil || e.Path == "/" {
			return err
		}
		return t.entry(e)
	})
	if err != nil {
		return err
	}
	return t.out.Close()
}

// treeTar is a tar of a view's files.
type treeTar struct {
	out    *tar.Writer
	view   *rootfs.View
	prefix string
	seen   map[[2]uint64]string // inode -> its first name
}

// entry writes one name. The second name of a file becomes a link to the first.
func (t *treeTar) entry(e *rootfs.Entry) error {
	// A tar has no type for sockets.
	if e.Type() == unix.S_IFSOCK {
		return nil
	}
	h, err := e.Header()
	if err != nil {
		return err
	}
	xattrs, err := e.Xattrs()
	if err != nil {
		return err
	}
	rootfs.SetXattrs(h, xattrs)
	h.Name, h.ModTime, h.Format = t.prefix+h.Name, e.ModTime.Truncate(time.Second), tar.FormatPAX
	id := [2]uint64{e.Dev, e.Ino}
	if first := t.seen[id]; first != "" && e.Nlink > 1 && h.Typeflag != tar.TypeDir {
		// A link has no content in a tar, so its size is 0.
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
	}
	t.seen[id] = h.Name
	if err := t.out.WriteHeader(h); err != nil {
		return fmt.Errorf("writing %s: %w", e.Path, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := t.view.Open(e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t.out, f)
	return err
}
