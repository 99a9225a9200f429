// This file owns Copy, the tree of a command where the kernel has no overlay for it: all files are copied, the command changes them
// where they are, and what has changed is found by a look before and one after it.

package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Copy is a directory with the files of a state. A command that stands on the result of another one can have its tree: what was moved
// to the result is copied from there again, and the rest is there.
type Copy struct {
	dir    string
	before *node    // how the tree was when it was given to the command; nil while nobody has it
	doubt  []string // directories of which something was changed
}

// NewCopy copies all files of a view into dir, which does not exist.
func NewCopy(ctx context.Context, dir string, v *rootfs.View) (*Copy, error) {
	root, err := v.Lstat("/")
	if err == nil {
		err = newCopier(ctx, v, dir).tree(root)
	}
	if err != nil {
		return nil, fmt.Errorf("copying the files of a state: %w", err)
	}
	return &Copy{dir: dir}, nil
}

// Dir is where the files are.
func (c *Copy) Dir() string { return c.dir }

// Begin is called before the tree is given to a command.
func (c *Copy) Begin() error {
	var last int64
	before, err := look(c.dir, func(ctime int64) { last = max(last, ctime) })
	if err == nil {
		err = waitPast(path.Dir(c.dir), last)
	}
	if err != nil {
		return fmt.Errorf("looking at the files before a command: %w", err)
	}
	c.before = before
	return nil
}

// Show copies one directory or file of a view into dir, which exists, and returns where it is.
func Show(ctx context.Context, dir string, v *rootfs.View, name string) (string, error) {
	e, err := v.Lstat(name)
	if err != nil {
		return "", err
	}
	c := newCopier(ctx, v, dir)
	if err := os.MkdirAll(dir+path.Dir(e.Path), 0o755); err != nil {
		return "", err
	}
	if e.IsDir() {
		err = c.tree(e)
	} else {
		err = c.file(e)
	}
	return dir + e.Path, err
}

// Follow makes the tree that of the view v, which has the state that the tree had, below levels. These are directories, the lowest
// first, of which the lowest got what the last command changed.
func (c *Copy) Follow(ctx context.Context, v *rootfs.View, levels []string) error {
	copier := newCopier(ctx, v, c.dir)
	for _, level := range levels {
		if err := c.follow(copier, level, "/"); err != nil {
			return fmt.Errorf("taking over %s: %w", level, err)
		}
	}
	for _, name := range c.doubt {
		if e, err := v.Lstat(name); err == nil && e.IsDir() {
			if err := copier.directory(e); err != nil {
				return fmt.Errorf("taking over %s: %w", name, err)
			}
		}
	}
	c.doubt = nil
	return nil
}

// follow takes over one directory of a level.
func (c *Copy) follow(from *copier, level, name string) error {
	if err := from.ctx.Err(); err != nil {
		return context.Cause(from.ctx)
	}
	if err := makeWritable(c.dir + name); err != nil {
		return err
	}
	names, err := namesIn(level + name)
	if err != nil {
		return err
	}
	for _, base := range names {
		if err := c.followName(from, level, path.Join(name, base)); err != nil {
			return err
		}
	}
	if rootfs.IsOpaque(level + name) {
		if err := c.dropHidden(from, name); err != nil {
			return err
		}
	}
	e, err := from.view.Lstat(name)
	if err != nil {
		return err
	}
	return from.directory(e)
}

// followName takes over what a level has at a name.
func (c *Copy) followName(from *copier, level, name string) error {
	e, err := from.view.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return RemoveAll(c.dir + name)
	}
	if err != nil {
		return err
	}
	there, err := factOf(c.dir + name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	isDir := err == nil && there.isDir()
	if e.IsDir() && isDir {
		above, err := factOf(level + name)
		if err != nil || !above.isDir() { // what a level above has there is looked at in its turn
			return err
		}
		return c.follow(from, level, name)
	}
	if err := RemoveAll(c.dir + name); err != nil {
		return err
	}
	if e.IsDir() {
		return from.tree(e)
	}
	return from.file(e)
}

// dropHidden removes from a directory of the tree what an opaque one hides.
func (c *Copy) dropHidden(from *copier, name string) error {
	names, err := namesIn(c.dir + name)
	if err != nil {
		return err
	}
	for _, base := range names {
		_, err := from.view.Lstat(path.Join(name, base))
		if errors.Is(err, fs.ErrNotExist) {
			err = RemoveAll(c.dir + path.Join(name, base))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
