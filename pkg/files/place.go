// This file owns where the sources of a COPY go: what a destination means, and which directories are made on the way.

package files

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// descend copies what the path rest names in the directory dir into the current one.
func (w *writer) descend(ctx context.Context, dir *Node, rest []string) error {
	if len(rest) == 0 {
		p := &pick{tree: w.tree, node: dir}
		return p.walk(ctx, w)
	}
	n, err := w.tree.Lstat(path.Join(dir.Path, rest[0]))
	if err != nil {
		return err
	}
	if !n.IsDir() {
		return w.file(rest[0], n)
	}
	if err := w.enterDir(rest[0], n); err != nil {
		return err
	}
	if err := w.descend(ctx, n, rest[1:]); err != nil {
		return err
	}
	return w.leaveDir(rest[0], n, true)
}

// place decides what the destination is, and copies the pick there.
func (w *writer) place(ctx context.Context, p *pick, dest string) error {
	if strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, "/.") {
		if _, err := w.makeDest(dest); err != nil {
			return err
		}
	}
	real, e, err := w.resolve(dest)
	if err != nil {
		return err
	}
	if p.node.IsDir() {
		if e != nil && !e.IsDir() {
			return fmt.Errorf("cannot copy to non-directory: %s", real)
		}
		return w.contents(ctx, p, real)
	}
	if e != nil && e.IsDir() {
		real = path.Join(real, p.name)
	}
	dir := path.Dir(real)
	if _, err := w.mkdirAll(dir, w.parentOwner(), w.chmod.parents()); err != nil {
		return err
	}
	if err := w.push(dir, false); err != nil {
		return err
	}
	defer w.pop()
	w.begin(p)
	return w.put(p.node, path.Base(real))
}

// begin prepares the writer for another pick. Names of one file are kept together within a pick only.
func (w *writer) begin(p *pick) { w.tree, w.links = p.tree, map[[2]uint64]string{} }

// parentOwner is whom directories that are made on the way belong to.
func (w *writer) parentOwner() owner {
	if w.owner != nil {
		return *w.owner
	}
	return owner{}
}

// makeDest makes the directory that a destination names, and returns its path without links.
func (w *writer) makeDest(dest string) (string, error) {
	real, _, err := w.resolve(dest)
	if err != nil {
		return "", err
	}
	_, err = w.mkdirAll(real, w.parentOwner(), w.chmod.parents())
	return real, err
}

// contents copies what is in a directory into dir, which is made where it is missing. Its owner and mode are left alone;
// it takes the time of the source.
func (w *writer) contents(ctx context.Context, p *pick, dir string) error {
	if _, err := w.mkdirAll(dir, w.parentOwner(), w.chmod.parents()); err != nil {
		return err
	}
	if err := w.push(dir, false); err != nil {
		return err
	}
	w.begin(p)
	if err := p.walk(ctx, w); err != nil {
		return err
	}
	err := w.touch(".", p.node)
	w.pop()
	return err
}
