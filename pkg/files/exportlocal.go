// This file owns the export of the files of a state into a directory of this machine.
// It is written for a user who owns the directory, and may have anything in it: so nothing is followed, and each file comes
// under its name when it is whole.

package files

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ExportLocal writes the files of a state into dir, which is made; they belong to the caller. Devices are left out. Each
// name is replaced, whatever it was, but that a directory stays one: nothing is written into a file that has another
// name, through a link, or into a program that runs. What else is in dir stays.
func ExportLocal(ctx context.Context, v *rootfs.View, dir string, o ExportOptions) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if o.Directory != "" {
		if root, err = subdirectory(root, o.Directory); err != nil {
			return err
		}
		defer root.Close()
	}
	// What has to go is removed before anything is written: a file may stand where a directory comes.
	if o.Delete {
		if err := removeOthers(ctx, root, v, "/"); err != nil {
			return fmt.Errorf("removing what was in %s: %w", dir, err)
		}
	}
	t := &localTree{root: root, view: v, seen: map[[2]uint64]string{}}
	err = v.Walk("/", func(e *rootfs.Entry) error {
		if err := ctx.Err(); err != nil || e.Path == "/" {
			return err
		}
		if err := t.write(e); err != nil {
			return fmt.Errorf("writing %s: %w", path.Join(root.Name(), e.Path), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.finishDirs()
}

// subdirectory makes a directory of root, and opens it.
func subdirectory(root *os.Root, name string) (*os.Root, error) {
	t := &localTree{root: root}
	if err := t.mkdir(name, 0o755); err != nil {
		return nil, err
	}
	return root.OpenRoot(name)
}

// removeOthers removes what the view does not have, and what is a directory on one side only.
func removeOthers(ctx context.Context, root *os.Root, v *rootfs.View, dir string) error {
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
		// root keeps RemoveAll inside of dir, whatever links lie there.
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

// localTree is a directory that gets the files of a view.
type localTree struct {
	root *os.Root
	view *rootfs.View
	seen map[[2]uint64]string // inode -> its first name
	dirs []*rootfs.Entry
}

// write makes one name. What is no file, directory or link is left out.
func (t *localTree) write(e *rootfs.Entry) error {
	name := e.Path[1:]
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		t.dirs = append(t.dirs, e)
		// A directory gets its own mode at the end; one without write permission could not be filled.
		return t.mkdir(name, 0o700)
	case unix.S_IFLNK:
		return t.replace(name, func(temporary string) error { return t.root.Symlink(e.Link, temporary) })
	case unix.S_IFREG:
		id := [2]uint64{e.Dev, e.Ino}
		// Hard links stay links, so that an export takes no more space than the image.
		if first := t.seen[id]; first != "" && e.Nlink > 1 {
			return t.replace(name, func(temporary string) error { return t.root.Link(first, temporary) })
		}
		t.seen[id] = name
		return t.replace(name, func(temporary string) error { return t.copy(e, temporary) })
	}
	return nil
}

// mkdir makes a directory, in place of what is none.
func (t *localTree) mkdir(name string, mode os.FileMode) error {
	err := t.root.Mkdir(name, mode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := t.root.Lstat(name); err != nil || info.IsDir() {
		return err
	}
	if err := t.root.Remove(name); err != nil {
		return err
	}
	return t.root.Mkdir(name, mode)
}

// replace lets make make a file beside name, and gives it the name; a directory that has it goes, as in BuildKit.
func (t *localTree) replace(name string, make func(temporary string) error) error {
	// The random name is in the same directory, and so in the same filesystem: the rename is atomic.
	temporary := path.Join(path.Dir(name), ".gbuild-"+rand.Text())
	err := make(temporary)
	if err == nil {
		err = t.rename(temporary, name)
	}
	if err != nil {
		_ = t.root.Remove(temporary)
	}
	return err
}

// rename gives a file its name. A directory that has it is removed, as in BuildKit.
func (t *localTree) rename(from, to string) error {
	err := t.root.Rename(from, to)
	if err == nil {
		return nil
	}
	if info, lost := t.root.Lstat(to); lost != nil || !info.IsDir() {
		return err
	}
	if err := t.root.RemoveAll(to); err != nil {
		return err
	}
	return t.root.Rename(from, to)
}

// copy makes a regular file.
func (t *localTree) copy(e *rootfs.Entry, name string) error {
	in, err := t.view.Open(e.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	// The mode is set when the bytes are there; until then only the caller can read the file.
	out, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
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
	return t.root.Chtimes(name, e.ModTime, e.ModTime)
}

// finishDirs gives directories their modes and times when nothing more is written to them, the deepest first.
func (t *localTree) finishDirs() error {
	// Walk yields a directory before what is in it, so the reverse order has the deepest first.
	for i := len(t.dirs) - 1; i >= 0; i-- {
		e := t.dirs[i]
		err := t.root.Chmod(e.Path[1:], os.FileMode(e.Mode&0o777))
		if err == nil {
			err = t.root.Chtimes(e.Path[1:], e.ModTime, e.ModTime)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
