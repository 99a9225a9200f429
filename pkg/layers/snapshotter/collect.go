// This file owns what becomes of a copied tree when its command has ended: what was changed is moved to an upper directory, in the
// form in which an overlay would have written it there.

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

// Collect moves what was changed since Begin to the upper directory. No process may use the tree any more.
func (c *Copy) Collect(u rootfs.Upper) error {
	if c.before == nil {
		return nil
	}
	before := c.before
	c.before = nil
	c.out = newCopier(context.Background(), rootfs.NewView(c.Dir()), u.Dir, c.kept)
	err := c.checkForeign()
	if err == nil {
		err = c.gatherCovers()
	}
	if err == nil {
		err = c.directory(u, "/", before)
	}
	if err != nil {
		return fmt.Errorf("collecting what a command has changed: %w", err)
	}
	return nil
}

// checkForeign refuses what a command has made in the place of a foreign file: nobody would look at it.
func (c *Copy) checkForeign() error {
	now, err := c.lookAtForeign()
	if err != nil {
		return err
	}
	for name, f := range now {
		if before, known := c.theirs[name]; !known || !f.sameFile(before) {
			return &ConflictError{name}
		}
	}
	return nil
}

// directory collects what has changed in a directory that was there before.
func (c *Copy) directory(u rootfs.Upper, name string, before *node) error {
	var now unix.Stat_t
	if err := unix.Lstat(c.dir+name, &now); err != nil {
		return err
	}
	f, err := factOf(c.dir + name)
	if err != nil {
		return err
	}
	names, err := c.names(name)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(names))
	for _, base := range names {
		there[base] = true
		if err := c.entry(u, path.Join(name, base), before.names[base]); err != nil {
			return err
		}
	}
	for base := range before.names {
		if !there[base] {
			if err := c.removed(u, path.Join(name, base)); err != nil {
				return err
			}
		}
	}
	if f != before.fact && !c.onlyTouched(u, name, f, before.fact) {
		if err := makeUpper(u, name); err != nil {
			return err
		}
	}
	return c.finish(u, name, &now)
}

// onlyTouched says whether a directory has no change but its times, and is there for the sake of something that is kept: a state
// has none of it.
func (c *Copy) onlyTouched(u rootfs.Upper, name string, now, before fact) bool {
	if now.mode != before.mode || now.uid != before.uid || now.gid != before.gid || !c.kept.above(name) {
		return false
	}
	_, err := u.View().Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// finish gives a directory of the upper one, if it is there, what the one in the tree had before something was moved out of it.
func (c *Copy) finish(u rootfs.Upper, name string, now *unix.Stat_t) error {
	above, err := factOf(u.Dir + name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !above.isDir() {
		return nil
	}
	if err != nil {
		return err
	}
	c.doubt = append(c.doubt, name)
	return filecopy.Metadata(c.dir+name, u.Dir+name, now, rootfs.Stacks)
}

// entry collects what is at a name now.
func (c *Copy) entry(u rootfs.Upper, name string, before *node) error {
	now, err := factOf(c.dir + name)
	switch {
	case err != nil:
		return err
	case before != nil && (now.sameDir(before.fact) || c.replaced(u, name, now, before.fact)):
		return c.directory(u, name, before)
	case before != nil && now == before.fact:
		return nil
	case now.isDir() && c.kept.above(name):
		return c.remade(u, name, before)
	}
	return c.move(u, name, now.isDir())
}

// replaced says whether a directory, which is there for the sake of a foreign file, was replaced by another one with that file in it.
func (c *Copy) replaced(u rootfs.Upper, name string, now, before fact) bool {
	if !now.isDir() || !c.onlyTouched(u, name, now, before) {
		return false
	}
	for inside := range c.kept.at(name).foreign(name) {
		if _, err := factOf(c.dir + inside); err == nil {
			return true
		}
	}
	return false
}

// remade collects a directory that a command has made anew, though something in it is kept, so that it cannot be moved. Directories that
// were in the former one for the sake of what is kept are no more a part of this one.
func (c *Copy) remade(u rootfs.Upper, name string, before *node) error {
	if err := makeUpper(u, path.Dir(name)); err != nil {
		return err
	}
	if err := RemoveAll(u.Dir + name); err != nil {
		return err
	}
	if err := os.Mkdir(u.Dir+name, 0o700); err != nil {
		return err
	}
	if err := c.hide(u, name); err != nil {
		return err
	}
	same := &node{names: map[string]*node{}}
	if before != nil {
		for base, n := range before.names {
			inside := path.Join(name, base)
			if _, err := u.Lower.Lstat(inside); errors.Is(err, fs.ErrNotExist) && c.kept.above(inside) && n.isDir() {
				same.names[base] = n
			}
		}
	}
	return c.directory(u, name, same)
}

// move moves what is new to the upper directory. A directory hides there what it was in the place of.
func (c *Copy) move(u rootfs.Upper, name string, isDir bool) error {
	if err := makeUpper(u, path.Dir(name)); err != nil {
		return err
	}
	if err := RemoveAll(u.Dir + name); err != nil {
		return err
	}
	err := rename(c.dir, u.Dir, name, isDir)
	if errors.Is(err, unix.EXDEV) { // the tree is on another filesystem, or the kernel moves no directories there
		err = c.copyOut(name)
	}
	if err != nil || !isDir {
		return err
	}
	return c.hide(u, name)
}

// copyOut copies what is new to the upper directory. The tree keeps it.
func (c *Copy) copyOut(name string) error {
	e, err := c.out.view.Lstat(name)
	if err != nil {
		return err
	}
	return c.out.entry(e)
}

// hide lets a directory of the upper one hide what it is in the place of.
func (c *Copy) hide(u rootfs.Upper, name string) error {
	switch below, err := u.Lower.Lstat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case below.IsDir():
		return rootfs.SetOpaque(u.Dir + name)
	}
	return nil
}

// rename moves a name from one directory to another on the same filesystem.
func rename(from, to, name string, isDir bool) error {
	if err := makeWritable(path.Dir(from + name)); err != nil {
		return err
	}
	if !isDir {
		return os.Rename(from+name, to+name)
	}
	f, err := factOf(from + name)
	if err == nil {
		err = makeWritable(from + name) // its entry ".." changes
	}
	if err == nil {
		err = os.Rename(from+name, to+name)
	}
	if err == nil {
		err = unix.Chmod(to+name, f.mode&0o7777)
	}
	return err
}

// removed hides a name that was there.
func (c *Copy) removed(u rootfs.Upper, name string) error {
	if err := RemoveAll(u.Dir + name); err != nil {
		return err
	}
	if _, err := u.Lower.Lstat(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := makeUpper(u, path.Dir(name)); err != nil {
		return err
	}
	return rootfs.Hide(u.Dir + name)
}

// makeUpper makes a directory of the upper one, and those that it lies in. They get what they are to have when all is collected in
// them: see finish.
func makeUpper(u rootfs.Upper, name string) error {
	f, err := factOf(u.Dir + name)
	switch {
	case err == nil && f.isDir():
		return makeWritable(u.Dir + name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil:
		err = os.Remove(u.Dir + name)
	default:
		err = makeUpper(u, path.Dir(name))
	}
	if err != nil {
		return err
	}
	return os.Mkdir(u.Dir+name, 0o700)
}
