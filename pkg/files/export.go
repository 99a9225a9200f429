// This file owns the export of the files of a state as a tar.

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
	Delete    bool   // of ExportLocal: remove what else is in the directory
}

// ExportTar writes the files of a state as one tar, with their owners. Hard links stay links.
func ExportTar(ctx context.Context, v *rootfs.View, w io.Writer, o ExportOptions) error {
	t := &treeTar{Writer: tar.NewWriter(w), view: v, seen: map[[2]uint64]string{}}
	if o.Directory != "" {
		t.prefix = o.Directory + "/"
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: t.prefix, Mode: 0o755, Format: tar.FormatPAX}); err != nil {
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
	return t.Close()
}

// treeTar is a tar of a view's files.
type treeTar struct {
	*tar.Writer
	view   *rootfs.View
	prefix string
	seen   map[[2]uint64]string // inode -> its first name
}

func (t *treeTar) entry(e *rootfs.Entry) error {
	h, err := tarHeader(e)
	if h == nil || err != nil {
		return err
	}
	h.Name = t.prefix + h.Name
	id := [2]uint64{e.Dev, e.Ino}
	if first := t.seen[id]; first != "" && e.Nlink > 1 && h.Typeflag != tar.TypeDir {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
	}
	t.seen[id] = h.Name
	if err := t.WriteHeader(h); err != nil {
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
	_, err = io.Copy(t, f)
	return err
}

// tarHeader returns nil for what a tar cannot hold (sockets).
func tarHeader(e *rootfs.Entry) (*tar.Header, error) {
	h := &tar.Header{Name: e.Path[1:], Mode: int64(e.Mode & 0o7777), Uid: e.UID, Gid: e.GID,
		ModTime: e.ModTime.Truncate(time.Second), Format: tar.FormatPAX}
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case unix.S_IFLNK:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if e.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(e.Rdev)), int64(unix.Minor(e.Rdev))
	default:
		return nil, nil
	}
	xattrs, err := e.Xattrs()
	for name, value := range xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = string(value)
	}
	return h, err
}
