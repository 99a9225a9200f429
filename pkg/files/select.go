// This file owns what a source of a COPY selects of a tree: paths, links and patterns.
// Sources are resolved as in BuildKit: links are followed within the tree, and a wildcard never crosses a slash.

package files

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// pick is one thing that a source of a COPY selects: a file, or a directory whose contents are taken.
type pick struct {
	tree   Tree
	node   *Node
	name   string // the name that a file gets below a destination directory
	filter filter
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
	// The part before the first wildcard is followed through links; of what the rest matches, the last element only.
	fixed, pattern := splitWildcards(source)
	top, err := follow(t, fixed, true)
	if notThere(err) {
		return nil, nil, newMissing(t, fixed, source)
	}
	if err != nil {
		return nil, nil, err
	}
	// The last element is that of the source as it was written, not of what a link leads to.
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

// hasWildcard says whether a name has a wildcard that no backslash takes the meaning of.
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
	// A source without wildcards must be there, as without --parents.
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
