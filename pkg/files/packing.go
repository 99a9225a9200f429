// This file owns which steps are written as layers without making their files. A COPY of one directory or of files is written while
// its sources are read; any other one is first described in memory, where its sources may replace each other.

package files

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

// Packing selects what a COPY copies, and returns what writes the layer of it, if it is one directory, or files only.
func Packing(ctx context.Context, tree Tree, c *dockerfile.Copy) (func(*rootfs.LayerWriter) error, error) {
	picks, ok := packable(ctx, tree, c)
	if !ok {
		return nil, ErrNotPackable
	}
	return func(l *rootfs.LayerWriter) error { return packCopy(ctx, l, c, picks) }, nil
}

// packable returns what a COPY selects, if it is one directory, or files only, each with a name of its own.
func packable(ctx context.Context, tree Tree, c *dockerfile.Copy) (all []pick, ok bool) {
	if len(c.Inline) > 0 || c.Parents {
		return nil, false
	}
	for _, source := range c.Sources {
		if remote, err := parseRemote(c, source); c.Add && (remote != nil || err != nil) {
			return nil, false
		}
	}
	for _, source := range c.Sources {
		picks, err := pickLocal(ctx, tree, c, source)
		if err != nil {
			return nil, false // who copies file by file says why
		}
		all = append(all, picks...)
	}
	if len(all) == 1 && all[0].node.IsDir() {
		return all, true
	}
	slices.SortStableFunc(all, func(a, b pick) int { return strings.Compare(a.name, b.name) })
	for i, p := range all {
		if p.node.IsDir() || i > 0 && p.name == all[i-1].name {
			return nil, false
		}
	}
	return all, len(all) > 0 && !c.Add // an archive would be unpacked
}

// packCopy writes the layer of a COPY.
func packCopy(ctx context.Context, l *rootfs.LayerWriter, c *dockerfile.Copy, picks []pick) error {
	p, err := newPlacer(layerSink{l}, l.Lower(), c)
	if err != nil {
		return err
	}
	return p.place(ctx, c.Dest, picks...)
}

// PackDir writes the layer of a WORKDIR, as MakeDir and the layer of its draft would.
func PackDir(l *rootfs.LayerWriter, m *dockerfile.Mkdir) error {
	return makeDir(layerSink{l}, l.Lower(), m)
}

// PackCopy writes the layer of any COPY or ADD, as CopyInto and the layer of its draft would. It makes no file but those that an
// archive of an ADD has, which lie in spool.
func PackCopy(ctx context.Context, l *rootfs.LayerWriter, c *dockerfile.Copy, tree Tree, o remote.Fetcher, spool *rootfs.Spool) (err error) {
	change := rootfs.Change{Memory: rootfs.NewMemory(), Lower: l.Lower()}
	p, err := newPlacer(&memorySink{change: change}, change.View(), c)
	if err != nil {
		return err
	}
	a := &adder{Fetcher: o, placer: p, copy: c, tree: tree, unpacks: func(ctx context.Context, r io.Reader, dest string, how rootfs.ExtractOptions) error {
		return change.Extract(ctx, r, dest, how, spool.Keep)
	}}
	defer a.close(&err)
	if err := a.all(ctx); err != nil {
		return err
	}
	return change.WriteTo(l)
}

// PackPath writes a layer of what a path of a tree names, as CopyPath and the layer of its draft would.
func PackPath(ctx context.Context, l *rootfs.LayerWriter, t Tree, name string) error {
	top, err := t.Lstat("/")
	if err != nil {
		return err
	}
	change := rootfs.Change{Memory: rootfs.NewMemory(), Lower: l.Lower()}
	p := &placer{sink: &memorySink{change: change}, view: change.View()}
	if err := p.path(ctx, t, top, name); err != nil {
		return err
	}
	return change.WriteTo(l)
}
