// This file owns the copying of the sources of a COPY or an ADD into a draft, one after the other, and of whole directories.
// An adder has the sources and what they are fetched with, and a placer the destination.

package files

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

// CopyInto writes the result of a COPY or ADD into a draft, without any mount. tree is what local sources are relative
// to. The error is ErrNoRights where the caller's own ids do not suffice.
func CopyInto(ctx context.Context, d *layers.Draft, c *dockerfile.Copy, tree Tree, o remote.Fetcher) (err error) {
	s, v, err := draftSink(d, Linked(c))
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, s.close()) }()
	s.notice = o.Notice
	p, err := newPlacer(s, v, c)
	if err != nil {
		return err
	}
	a := &adder{Fetcher: o, placer: p, copy: c, tree: tree, unpacks: func(ctx context.Context, r io.Reader, dest string, how rootfs.ExtractOptions) error {
		return rootfs.Extract(ctx, r, d.Upper(), dest, how)
	}}
	defer a.close(&err)
	return NeedsRights(a.all(ctx))
}

// Linked says whether a COPY is made as if nothing was below it: with --link, but not with --chmod, where BuildKit copies as ever.
func Linked(c *dockerfile.Copy) bool { return c.Link && c.Chmod == "" }

// CopyDirectory copies a directory of a view, links in its path followed, into a directory of this machine: owners,
// modes and the rest included, those of the directory itself too. The error is fs.ErrNotExist where there is none.
func CopyDirectory(ctx context.Context, v *rootfs.View, source, dir string) error {
	inside, _, err := v.Resolve(source, true)
	if err != nil {
		return err
	}
	return CopyTree(ctx, ViewTree(v), inside, dir)
}

// CopyTree copies a directory of a tree onto a directory of this machine, owners and modes included.
func CopyTree(ctx context.Context, t Tree, source, dir string) (err error) {
	nodes, _, err := find(ctx, t, path.Clean("/"+source))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	sink := plainSink(root)
	defer func() { err = cmp.Or(err, sink.close()) }()
	p := &placer{sink: sink, view: rootfs.NewView(dir)}
	for _, n := range nodes {
		if !n.IsDir() {
			return fmt.Errorf("%q is not a directory", source)
		}
		if err := p.contents(ctx, &pick{tree: t, node: n}, "/"); err != nil {
			return err
		}
		if err := (rootfs.Owner{UID: n.UID, GID: n.GID}).GivePath(dir); err != nil {
			return err
		}
		if err := unix.Chmod(dir, n.Mode&0o7777); err != nil {
			return err
		}
	}
	return nil
}

// CopyPath copies what a path of a tree names to the same path of an empty draft, directories on the way included. The
// path leads through no link, and nothing in it is a pattern.
func CopyPath(ctx context.Context, d *layers.Draft, t Tree, name string, notice func(string)) (err error) {
	top, err := t.Lstat("/")
	if err != nil {
		return err
	}
	s, v, err := draftSink(d, false)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, s.close()) }()
	s.notice = notice
	p := &placer{sink: s, view: v}
	return NeedsRights(p.path(ctx, t, top, name))
}

// path copies what a path of a tree, whose root is top, names to the same path.
func (p *placer) path(ctx context.Context, t Tree, top *Node, name string) error {
	p.begin(t)
	if err := p.way("/", 0, time.Time{}); err != nil {
		return err
	}
	if err := p.descend(ctx, top, elements(name)); err != nil {
		return err
	}
	return p.leaveAll()
}

// adder copies the sources of one COPY or ADD, in their order.
type adder struct {
	remote.Fetcher
	placer  *placer
	unpacks func(ctx context.Context, r io.Reader, dest string, how rootfs.ExtractOptions) error
	copy    *dockerfile.Copy
	tree    Tree
	opened  []func() error // what closes or removes sources, when nobody reads them any more
}

// close ends the use of all sources.
func (a *adder) close(err *error) {
	for _, end := range slices.Backward(a.opened) {
		*err = cmp.Or(*err, end())
	}
}

// all copies the sources in their order, so that the last of two with one name counts.
func (a *adder) all(ctx context.Context) error {
	for _, source := range a.copy.Sources {
		if err := a.source(ctx, source); err != nil {
			return err
		}
	}
	for _, f := range a.copy.Inline {
		if err := a.inline(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// source copies what one source selects.
func (a *adder) source(ctx context.Context, source string) error {
	if a.copy.Add {
		remote, err := parseRemote(a.copy, source)
		if err != nil {
			return err
		}
		if remote != nil {
			return a.remote(ctx, remote)
		}
	}
	picks, err := pickLocal(ctx, a.tree, a.copy, source)
	if err != nil {
		return err
	}
	unpack := a.copy.Add && (a.copy.Unpack == nil || *a.copy.Unpack)
	for i := range picks {
		if err := a.place(ctx, &picks[i], unpack); err != nil {
			return err
		}
	}
	return nil
}

// place copies one pick to the destination, or unpacks it there.
func (a *adder) place(ctx context.Context, p *pick, unpack bool) error {
	if unpack && p.node.IsRegular() {
		if done, err := a.unpack(ctx, p); done || err != nil {
			return err
		}
	}
	return a.placer.place(ctx, a.copy.Dest, *p)
}

// inline writes a file whose bytes stand in the Dockerfile.
func (a *adder) inline(ctx context.Context, f dockerfile.File) error {
	fd, err := unix.MemfdCreate("inline", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("making a file in memory: %w", err)
	}
	tmp := os.NewFile(uintptr(fd), f.Path)
	a.opened = append(a.opened, tmp.Close)
	if _, err := tmp.Write(f.Data); err != nil {
		return err
	}
	n, err := nodeOf(tmp, path.Join("/", f.Path), 0o644)
	if err != nil {
		return err
	}
	return a.placer.place(ctx, a.copy.Dest, pick{tree: singleFile{tmp}, node: n, name: path.Base(f.Path)})
}

// MakeDir makes a WORKDIR and what is missing above it, as directories of the user: the rules are those of --chown, not of a
// process, so USER 1234 makes a directory of 1234:1234. One that is there is left alone.
func MakeDir(d *layers.Draft, m *dockerfile.Mkdir) (err error) {
	s, v, err := draftSink(d, false)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, s.close()) }()
	return NeedsRights(makeDir(s, v, m))
}
