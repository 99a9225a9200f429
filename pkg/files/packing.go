// This file owns which steps are written as layers without making their files: a COPY of one directory or of files, a WORKDIR.

package files

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ErrNotPackable says that a COPY has to be done file by file: it is no plain copy of one directory or of files, or it fails.
var ErrNotPackable = errors.New("the step cannot be packed")

// Packing selects what a COPY copies, and returns what writes the layer of it, if it is one directory, or files only.
func Packing(ctx context.Context, tree Tree, c *dockerfile.Copy) (func(*rootfs.LayerWriter) error, error) {
	picks, err := packable(ctx, tree, c)
	return func(l *rootfs.LayerWriter) error { return packCopy(ctx, l, c, picks) }, err
}

// packable returns what a COPY selects, if it is one directory, or files only.
func packable(ctx context.Context, tree Tree, c *dockerfile.Copy) (all []pick, err error) {
	if len(c.Inline) > 0 || c.Parents {
		return nil, ErrNotPackable
	}
	for _, source := range c.Sources {
		if remote, err := parseRemote(c, source); c.Add && (remote != nil || err != nil) {
			return nil, ErrNotPackable
		}
	}
	for _, source := range c.Sources {
		picks, err := pickLocal(ctx, tree, c, source)
		if err != nil {
			return nil, ErrNotPackable // who copies file by file says why
		}
		all = append(all, picks...)
	}
	dirs := slices.ContainsFunc(all, func(p pick) bool { return p.node.IsDir() })
	if len(all) == 0 || dirs && len(all) > 1 || !dirs && c.Add { // an archive would be unpacked
		return nil, ErrNotPackable
	}
	return all, nil
}

// packCopy writes the layer of a COPY.
func packCopy(ctx context.Context, l *rootfs.LayerWriter, c *dockerfile.Copy, picks []pick) error {
	k, err := newPacker(l, c, picks[0].tree)
	if err != nil {
		return err
	}
	if p := &picks[0]; p.node.IsDir() {
		if err := k.descend(c.Dest, p.node.ModTime); err != nil {
			return err
		}
		return k.copy(ctx, p)
	}
	return k.files(c.Dest, picks)
}

// PackDir writes the layer of a WORKDIR, as MakeDir and the layer of its draft would.
func PackDir(l *rootfs.LayerWriter, m *dockerfile.Mkdir) error {
	k := &packer{LayerWriter: l, view: l.Lower(), made: m.Time}
	if m.User != "" {
		who, err := parseChown(m.User, false, l.Lower().Follow)
		if err != nil {
			return err
		}
		k.owner = who
	}
	if err := k.descend(m.Path, time.Time{}); err != nil {
		return err
	}
	k.end()
	return nil
}
