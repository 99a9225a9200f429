// This file owns which steps are written as layers without making their files: a COPY of one directory or of files, a WORKDIR.

package files

import (
	"context"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
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
