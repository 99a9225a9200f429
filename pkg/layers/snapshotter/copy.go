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

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Copy is a directory with the files of a state. A command that stands on the result of another one can have its tree: what was moved
// to the result is copied from there again, and the rest is there.
type Copy struct {
	dir    string // without a slash at its end
	clock  string // a directory of the same filesystem, of which nobody looks at the times
	base   *Kept  // what is kept from every view
	kept   *Kept  // what is kept from the view whose files are there
	covers []cover
	linked map[string]bool // the links that covers were given
	before *node           // how the tree was when it was given to the command; nil while nobody has it
	theirs map[string]fact // how foreign files were
	doubt  []string        // directories of which something was changed
	out    *copier         // copies what cannot be moved
}

// NewCopy copies all files of a view into dir, which does not exist.
func NewCopy(ctx context.Context, dir string, v *rootfs.View) (*Copy, error) {
	c := &Copy{dir: dir, clock: path.Dir(dir)}
	if err := c.fill(ctx, v); err != nil {
		return nil, err
	}
	return c, nil
}

// fill copies all files of a view.
func (c *Copy) fill(ctx context.Context, v *rootfs.View) error {
	root, err := v.Lstat("/")
	if err == nil {
		err = newCopier(ctx, v, c.dir, c.kept).tree(root)
	}
	if err != nil {
		return fmt.Errorf("copying the files of a state: %w", err)
	}
	return nil
}

// Dir is where the files are.
func (c *Copy) Dir() string { return path.Clean(c.dir + "/") }

// Begin is called before the tree is given to a command.
func (c *Copy) Begin() error {
	var last int64
	err := c.linkCovers()
	var before *node
	if err == nil {
		before, err = c.look("/", func(ctime int64) { last = max(last, ctime) })
	}
	if err == nil {
		c.theirs, err = c.lookAtForeign()
	}
	if err == nil {
		err = filecopy.WaitPast(c.clock, last)
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
	if err := os.MkdirAll(dir+path.Dir(e.Path), 0o755); err != nil {
		return "", err
	}
	return dir + e.Path, newCopier(ctx, v, dir, nil).entry(e)
}

// Turn says how one state becomes another: which directories are to be looked at for names where the two differ.
type Turn struct {
	Left    []string // those of the old state that the new one does not stand on
	Entered []string // those that only the new one stands on, the lowest first; before them the old state's own, if both stand on it
}

// Follow makes the tree that of the view v. It has the state that Turn leads from.
func (c *Copy) Follow(ctx context.Context, v *rootfs.View, t Turn) error {
	from := newCopier(ctx, v, c.dir, c.kept)
	for _, level := range append(t.Left, t.Entered...) {
		if err := c.follow(from, level, "/"); err != nil {
			return fmt.Errorf("taking over %s: %w", level, err)
		}
	}
	for _, name := range c.doubt {
		if e, err := v.Lstat(name); err == nil && e.IsDir() {
			if err := from.metadata(e); err != nil {
				return fmt.Errorf("taking over %s: %w", name, err)
			}
		}
	}
	c.doubt = nil
	return nil
}

// follow takes over what the view has at the names that one directory of a level has. The view has that directory, too.
func (c *Copy) follow(from *copier, level, name string) error {
	if err := from.ctx.Err(); err != nil {
		return context.Cause(from.ctx)
	}
	e, err := from.view.Lstat(name)
	if err != nil {
		return err
	}
	if rootfs.IsOpaque(level + name) {
		return c.replace(from, e)
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
	return from.metadata(e)
}

// followName takes over what the view has at a name of a level.
func (c *Copy) followName(from *copier, level, name string) error {
	if c.kept.has(name) {
		return nil
	}
	e, err := from.view.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c.remove(name)
	}
	if err != nil {
		return err
	}
	there, err := factOf(c.dir + name)
	if errors.Is(err, fs.ErrNotExist) {
		return from.entry(e)
	}
	if err != nil {
		return err
	}
	if e.IsDir() && there.isDir() {
		f, err := factOf(level + name)
		if err != nil {
			return err
		}
		if f.isDir() {
			return c.follow(from, level, name)
		}
	}
	same, err := c.hasContent(e, there)
	if err != nil {
		return err
	}
	if same {
		return from.metadata(e)
	}
	return c.replace(from, e)
}

// replace copies what is in the view to where something else is.
func (c *Copy) replace(from *copier, e *rootfs.Entry) error {
	if err := c.remove(e.Path); err != nil {
		return err
	}
	return from.entry(e)
}

// remove removes what is at a name, but nothing that is kept.
func (c *Copy) remove(name string) error {
	if c.kept.above(name) {
		return clear(c.dir+name, c.kept.at(name), RemoveAll)
	}
	return RemoveAll(c.dir + name)
}

// hasContent says whether the tree has a file with the content of e, which has no other name. Reading both is cheaper than writing.
func (c *Copy) hasContent(e *rootfs.Entry, there fact) (bool, error) {
	var st unix.Stat_t
	if there.mode&unix.S_IFMT != unix.S_IFREG || e.Source() == "" {
		return false, nil
	}
	if err := unix.Lstat(e.Source(), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != there.size || st.Nlink > 1 || there.links > 1 {
		return false, err
	}
	return sameContent(e.Source(), c.dir+e.Path)
}

// sameContent compares two regular files of one size.
func sameContent(a, b string) (bool, error) {
	var files [2]*os.File
	for i, name := range []string{a, b} {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return false, err
		}
		defer f.Close()
		files[i] = f
	}
	return rootfs.EqualReaders(files[0], files[1])
}
