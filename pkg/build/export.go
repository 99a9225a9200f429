package build

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers"
)

// ExportOptions say how files are exported.
type ExportOptions struct {
	Directory string // one element: the files go into this directory; empty: to the top
	Delete    bool   // of ExportLocal: remove what else is in the directory
}

// ExportTar writes the files of a state as one tar, with their owners. Hard links stay links.
func ExportTar(ctx context.Context, v *layers.View, w io.Writer, o ExportOptions) error {
	t := &treeTar{Writer: tar.NewWriter(w), view: v, seen: map[[2]uint64]string{}}
	if o.Directory != "" {
		t.prefix = o.Directory + "/"
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: t.prefix, Mode: 0o755, Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("writing %s: %w", o.Directory, err)
		}
	}
	err := v.Walk("/", func(e *layers.Entry) error {
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
	view   *layers.View
	prefix string
	seen   map[[2]uint64]string // inode -> its first name
}

func (t *treeTar) entry(e *layers.Entry) error {
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
func tarHeader(e *layers.Entry) (*tar.Header, error) {
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

// ExportLocal writes the files of a state into dir, which is made; they belong to the caller. Devices are left out.
func ExportLocal(ctx context.Context, v *layers.View, dir string, o ExportOptions) error {
	if o.Directory != "" {
		dir = filepath.Join(dir, o.Directory)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if o.Delete {
		if err := removeOthers(ctx, root, v, "/"); err != nil {
			return fmt.Errorf("removing what was in %s: %w", dir, err)
		}
	}
	seen := map[[2]uint64]string{}
	var dirs []*layers.Entry
	err = v.Walk("/", func(e *layers.Entry) error {
		if err := ctx.Err(); err != nil || e.Path == "/" {
			return err
		}
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			dirs = append(dirs, e)
		}
		return writeLocal(root, v, e, seen)
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- { // their times last, and deepest first
		err = root.Chmod(dirs[i].Path[1:], os.FileMode(dirs[i].Mode&0o777))
		if err == nil {
			err = root.Chtimes(dirs[i].Path[1:], dirs[i].ModTime, dirs[i].ModTime)
		}
	}
	return err
}

// removeOthers removes what the view does not have, and what is a directory on one side only.
func removeOthers(ctx context.Context, root *os.Root, v *layers.View, dir string) error {
	names, err := fs.ReadDir(root.FS(), local(dir))
	if err != nil {
		return err
	}
	for _, there := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, there.Name())
		e, err := v.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && e.IsDir() != there.IsDir():
			err = root.RemoveAll(local(name))
		case err == nil && e.IsDir():
			err = removeOthers(ctx, root, v, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeLocal(root *os.Root, v *layers.View, e *layers.Entry, seen map[[2]uint64]string) error {
	name := e.Path[1:]
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := root.Mkdir(name, 0o700); err != nil && !os.IsExist(err) {
			return err
		}
		return nil
	case unix.S_IFLNK:
		root.Remove(name)
		return root.Symlink(e.Link, name)
	case unix.S_IFREG:
		id := [2]uint64{e.Dev, e.Ino}
		if first := seen[id]; first != "" && e.Nlink > 1 {
			root.Remove(name)
			return root.Link(first, name)
		}
		seen[id] = name
		return writeLocalFile(root, v, e)
	}
	return nil
}

func writeLocalFile(root *os.Root, v *layers.View, e *layers.Entry) (err error) {
	in, err := v.Open(e.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	name := e.Path[1:]
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path.Join(root.Name(), name), err)
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Chmod(os.FileMode(e.Mode & 0o777))
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return root.Chtimes(name, e.ModTime, e.ModTime)
}
