// This file owns the walk over what a pick of a directory takes.
// A walk visits directories before what is in them, and those that are only on the way to something when that is found.

package files

import (
	"context"
	"path"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// visitor is told what a pick of a directory takes, parents first. Names are relative to the root of the pick.
type visitor interface {
	enterDir(name string, n *Node) error
	leaveDir(name string, n *Node, taken bool) error // taken: for its own sake, not only as a parent
	file(name string, n *Node) error
}

// walk visits everything below the root of the pick that its filter takes. A directory that is not taken itself is
// visited all the same when something below it is, just before that.
func (p *pick) walk(ctx context.Context, v visitor) error {
	w := &walker{pick: p, visitor: v}
	return w.children(ctx, p.node, "", filterState{})
}

// Selected calls file for each file that the local sources of a COPY select, one that is no directory.
func Selected(ctx context.Context, t Tree, c *dockerfile.Copy, file func(*Node) error) error {
	for _, source := range c.Sources {
		if remote, err := parseRemote(c, source); err != nil || remote != nil {
			continue
		}
		picks, err := pickLocal(ctx, t, c, source)
		if err != nil {
			return err
		}
		for i := range picks {
			if err := picks[i].files(ctx, file); err != nil {
				return err
			}
		}
	}
	return nil
}

// files calls file for each file that the pick has.
func (p *pick) files(ctx context.Context, file func(*Node) error) error {
	if p.node.IsDir() {
		return p.walk(ctx, fileFunc(file))
	}
	return file(p.node)
}

// fileFunc is a visitor that looks at files only.
type fileFunc func(*Node) error

func (fileFunc) enterDir(string, *Node) error { return nil }

func (fileFunc) leaveDir(string, *Node, bool) error { return nil }

func (f fileFunc) file(_ string, n *Node) error { return f(n) }

// walker is a walk on its way.
type walker struct {
	pick    *pick
	visitor visitor
	waiting []parentDir // the directories above, of which the last ones may not have been visited yet
}

// parentDir is a directory above the entry that is looked at.
type parentDir struct {
	name    string
	node    *Node
	visited bool
}

// children looks at the entries of a directory.
func (w *walker) children(ctx context.Context, dir *Node, name string, state filterState) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for n, err := range w.pick.tree.ReadDir(dir) {
		if err != nil {
			return err
		}
		child := path.Join(name, path.Base(n.Path))
		taken, enter, below, err := w.pick.filter.check(child, state)
		switch {
		case err != nil:
		case n.IsDir():
			err = w.dir(ctx, n, child, taken, enter, below)
		case taken:
			if err = w.flush(); err == nil {
				err = w.visitor.file(child, n)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dir looks at a directory, and goes into it where something in it may be taken.
func (w *walker) dir(ctx context.Context, n *Node, name string, taken, enter bool, state filterState) error {
	if !taken && !enter {
		return nil
	}
	// The directory waits until something below it is taken; one that stays empty is never visited.
	w.waiting = append(w.waiting, parentDir{name: name, node: n})
	if taken {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if enter {
		if err := w.children(ctx, n, name, state); err != nil {
			return err
		}
	}
	last := w.waiting[len(w.waiting)-1]
	w.waiting = w.waiting[:len(w.waiting)-1]
	if !last.visited {
		return nil
	}
	return w.visitor.leaveDir(name, n, taken)
}

// flush visits the directories on the way that were not taken for their own sake.
func (w *walker) flush() error {
	for i := range w.waiting {
		p := &w.waiting[i]
		if p.visited {
			continue
		}
		if err := w.visitor.enterDir(p.name, p.node); err != nil {
			return err
		}
		p.visited = true
	}
	return nil
}
