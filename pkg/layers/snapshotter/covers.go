// This file owns directories of a place that cannot be a link, though the state has one there, since something is mounted in them:
// /lib where an engine mounts firmware in it, /var/run where it mounts secrets. They get links to what the state's link leads to.

package snapshotter

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// cover is such a directory.
type cover struct {
	name   string
	target string    // the directory that the state's link leads to; empty where there is none
	kept   *keptName // what is kept in the cover
}

// coverOf is the cover of what a view has at a name.
func coverOf(v *rootfs.View, name string, kept *keptName) cover {
	c := cover{name: name, kept: kept}
	if to, e, err := v.Resolve(name, true); err == nil && e.IsDir() {
		c.target = to
	}
	return c
}

// linkCovers lets covers show what is in their targets.
func (c *Copy) linkCovers() error {
	c.linked = map[string]bool{}
	for _, cover := range c.covers {
		if err := clear(c.dir+cover.name, cover.kept, RemoveAll); err != nil {
			return err
		}
		err := c.eachLink(cover, func(at, to string) error {
			c.linked[at] = true
			text, err := filepath.Rel(path.Dir(at), to)
			if err != nil {
				return err
			}
			return os.Symlink(text, c.dir+at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gatherCovers does to the targets of covers what a command has done to the links: it has put something in the place of one, removed one,
// or made a new name.
func (c *Copy) gatherCovers() error {
	for _, cover := range c.covers {
		err := c.eachLink(cover, func(at, to string) error {
			now, err := factOf(c.dir + at)
			switch {
			case isGone(err) && !c.linked[at]: // the command has made it in the target
				return nil
			case err == nil && c.linked[at] && now.mode&unix.S_IFMT == unix.S_IFLNK && c.leads(at, to):
				return nil
			case c.kept.at(to) != nil:
				return fmt.Errorf("a command has changed %s, but something is mounted in %s", at, to)
			}
			if err := RemoveAll(c.dir + to); err != nil {
				return err
			}
			if isGone(err) {
				return nil
			}
			return os.Rename(c.dir+at, c.dir+to)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leads says whether a link of a cover is as it was made.
func (c *Copy) leads(at, to string) bool {
	text, err := os.Readlink(c.dir + at)
	return err == nil && path.Join(path.Dir(at), text) == to
}

// eachLink calls fn for the names that a cover or its target has, with the paths of both in the tree, but for those that are kept.
func (c *Copy) eachLink(at cover, fn func(at, to string) error) error {
	if at.target == "" {
		return nil
	}
	if f, err := factOf(c.dir + at.target); isGone(err) || err == nil && !f.isDir() {
		return nil
	}
	names := map[string]bool{}
	for _, dir := range []string{at.target, at.name} {
		all, err := namesIn(c.dir + dir)
		if err != nil && !isGone(err) {
			return err
		}
		for _, base := range all {
			names[base] = true
		}
	}
	for base := range names {
		in := cover{path.Join(at.name, base), path.Join(at.target, base), at.kept.names[base]}
		var err error
		switch {
		case in.kept == nil:
			err = fn(in.name, in.target)
		case in.kept.kind == above:
			err = c.eachLink(in, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
