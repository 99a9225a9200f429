// This file owns what the source of a COPY selects of a tree.

package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// pick is one thing that a source of a COPY selects: a file, or a directory whose contents are taken.
type pick struct {
	tree   Tree
	node   *Node
	name   string // what a file is called below a destination directory
	filter filter
}

// MissingError is a source that is not there.
type MissingError struct {
	Path    string // as it is looked for, from the root of the context or state
	Ignored string // the line of .dockerignore that leaves it out, if one does
	Climbs  bool   // it was written with "..", which ends at the root of the context
}

func (e *MissingError) Error() string { return fmt.Sprintf("%q: not found", e.Path) }

// Is makes the error one of fs.ErrNotExist.
func (e *MissingError) Is(target error) bool { return target == fs.ErrNotExist }

// Hint says why it is not there, where that is known.
func (e *MissingError) Hint() string {
	switch {
	case e.Ignored != "":
		return "it is left out by " + e.Ignored
	case e.Climbs:
		return "sources are looked for in the build context, and \"..\" does not lead out of it: build with a context further up, or name a second one with --build-context"
	}
	return ""
}

// newMissing explains why the path is not in the tree.
func newMissing(t Tree, name, written string) error {
	e := &MissingError{Path: path.Clean("/" + name), Climbs: strings.HasPrefix(path.Clean(strings.TrimLeft(written, "/")), "..")}
	if d, ok := t.(*dirTree); ok {
		e.Ignored = d.rules.culprit(local(e.Path))
	}
	return e
}

// RealPath follows the symbolic links of a path of a tree. The error is fs.ErrNotExist where it leads nowhere.
func RealPath(t Tree, name string) (string, error) {
	n, err := follow(t, name, true)
	if err != nil {
		return "", newMissing(t, name, name)
	}
	return n.Path, nil
}

func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// pickLocal returns what one local source of c selects.
func pickLocal(ctx context.Context, t Tree, c *dockerfile.Copy, source string) ([]pick, error) {
	if c.Parents {
		return pickParents(ctx, t, c, source)
	}
	exclude, err := newPatterns(c.Exclude)
	if err != nil {
		return nil, fmt.Errorf("reading --exclude: %w", err)
	}
	nodes, names, err := find(ctx, t, source)
	picks := make([]pick, len(nodes))
	for i, n := range nodes {
		picks[i] = pick{tree: t, node: n, name: names[i], filter: filter{exclude: exclude}}
	}
	return picks, err
}

// find returns what a path, which may have wildcards, names: links are followed. names has for each the last element of
// the path by which it was found. A wildcard that matches nothing is no error.
func find(ctx context.Context, t Tree, source string) (nodes []*Node, names []string, err error) {
	fixed, pattern := splitWildcards(source)
	top, err := follow(t, fixed, true)
	if notThere(err) {
		return nil, nil, newMissing(t, fixed, source)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(pattern) == 0 {
		return []*Node{top}, []string{path.Base(fixed)}, nil
	}
	var matches []*Node
	if top.IsDir() {
		if matches, err = glob(ctx, t, top, pattern); err != nil {
			return nil, nil, err
		}
	}
	for _, m := range matches {
		n, err := follow(t, m.Path, true)
		if notThere(err) {
			return nil, nil, newMissing(t, m.Path, source)
		}
		if err != nil {
			return nil, nil, err
		}
		nodes, names = append(nodes, n), append(names, path.Base(m.Path))
	}
	return nodes, names, nil
}

// splitWildcards cuts a source where its first element with a wildcard begins.
func splitWildcards(source string) (fixed string, pattern []string) {
	parts := strings.Split(strings.TrimPrefix(path.Clean("/"+source), "/"), "/")
	for i, p := range parts {
		if hasWildcard(p) {
			return "/" + path.Join(parts[:i]...), parts[i:]
		}
	}
	return "/" + path.Join(parts...), nil
}

func hasWildcard(name string) bool {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// glob matches element by element, as a wildcard never crosses a slash. Links to directories are matched, not entered.
func glob(ctx context.Context, t Tree, dir *Node, pattern []string) ([]*Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []*Node
	for n, err := range t.ReadDir(dir) {
		if err != nil {
			return nil, err
		}
		if ok, _ := path.Match(pattern[0], path.Base(n.Path)); !ok { // a malformed pattern matches nothing, as in BuildKit
			continue
		}
		if len(pattern) == 1 {
			found = append(found, n)
		} else if n.IsDir() {
			below, err := glob(ctx, t, n, pattern[1:])
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		}
	}
	return found, nil
}

// pickParents selects for --parents: the source, or what of it follows the pivot "/./", is a pattern that names are
// matched with from the root, or from the directory before the pivot.
func pickParents(ctx context.Context, t Tree, c *dockerfile.Copy, source string) ([]pick, error) {
	root, pattern, pivot := strings.Cut(source, "/./")
	if !pivot {
		root, pattern = "/", source
	}
	pattern = path.Clean("/" + pattern)
	if !hasWildcard(root) && !hasWildcard(pattern) {
		if _, err := follow(t, path.Join(root, pattern), false); notThere(err) {
			return nil, newMissing(t, path.Join(root, pattern), source)
		} else if err != nil {
			return nil, err
		}
	}
	f, err := newFilter([]string{strings.TrimPrefix(pattern, "/")}, c.Exclude)
	if err != nil {
		return nil, err
	}
	nodes, names, err := find(ctx, t, root)
	picks := make([]pick, len(nodes))
	for i, n := range nodes {
		picks[i] = pick{tree: t, node: n, name: names[i], filter: f}
	}
	return picks, err
}

// filter decides which entries below the root of a pick are taken.
type filter struct{ include, exclude *patterns } // nil: all, none

type filterState struct{ include, exclude matchState }

func newFilter(include, exclude []string) (f filter, err error) {
	if f.include, err = newPatterns(clearEmpty(include)); err != nil {
		return f, fmt.Errorf("reading --parents: %w", err)
	}
	if f.exclude, err = newPatterns(exclude); err != nil {
		return f, fmt.Errorf("reading --exclude: %w", err)
	}
	return f, nil
}

// clearEmpty drops the empty pattern, which stands for the root itself: all of it is taken.
func clearEmpty(list []string) (kept []string) {
	for _, p := range list {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
}

// check says whether an entry is taken, and for a directory whether there is any use in looking into it.
func (f *filter) check(name string, parent filterState) (taken, enter bool, state filterState, err error) {
	taken, enter = true, true
	if f.include != nil {
		if taken, state.include, err = f.include.match(name, parent.include); err != nil {
			return false, false, state, err
		}
		enter = taken || f.include.reaches(name, false)
	}
	if f.exclude != nil && enter {
		var out bool
		if out, state.exclude, err = f.exclude.match(name, parent.exclude); err != nil {
			return false, false, state, err
		}
		if out {
			taken, enter = false, f.exclude.reaches(name, true)
		}
	}
	return taken, enter, state, nil
}

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

func (p *pick) files(ctx context.Context, file func(*Node) error) error {
	if p.node.IsDir() {
		return p.walk(ctx, fileFunc(file))
	}
	return file(p.node)
}

// fileFunc is a visitor that looks at files only.
type fileFunc func(*Node) error

func (fileFunc) enterDir(string, *Node) error       { return nil }
func (fileFunc) leaveDir(string, *Node, bool) error { return nil }
func (f fileFunc) file(_ string, n *Node) error     { return f(n) }

type walker struct {
	*pick
	visitor visitor
	waiting []parentDir // the directories above, of which the last ones may not have been visited yet
}

type parentDir struct {
	name    string
	node    *Node
	visited bool
}

func (w *walker) children(ctx context.Context, dir *Node, name string, state filterState) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for n, err := range w.tree.ReadDir(dir) {
		if err != nil {
			return err
		}
		child := path.Join(name, path.Base(n.Path))
		taken, enter, below, err := w.filter.check(child, state)
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

func (w *walker) dir(ctx context.Context, n *Node, name string, taken, enter bool, state filterState) error {
	if !taken && !enter {
		return nil
	}
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
