package build

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// errNotPackable says that a COPY has to be done file by file: it is no plain copy of one directory or of files, or it fails.
var errNotPackable = errors.New("the step cannot be packed")

// pack makes the state of the step as a layer only, over the files of lower; nil: those of the parent, if they are here and
// nothing in this build reads those of the step. The error is errNotPackable where the files must be made after all.
func (w *work) pack(ctx context.Context, out layers.Key, lower *layers.View) error {
	if lower == nil && !(w.unread(isLinked) && w.Store.Unpacked(w.parent)) {
		return errNotPackable
	}
	fill, err := w.filler(ctx)
	if err == nil && lower == nil {
		lower, err = w.below()
	}
	if err != nil {
		return err
	}
	err = w.Store.Pack(ctx, out, w.parent, lower, w.packOptions(), func(l *layers.LayerWriter) error {
		w.begin()
		return fill(l)
	})
	for _, why := range []error{errNotPackable, layers.ErrMaySplit, layers.ErrForeignOwner, layers.ErrNoContent} {
		if errors.Is(err, why) {
			return errNotPackable
		}
	}
	return needsNamespace(err)
}

// packOptions are the options of layers whose files are not kept.
func (w *work) packOptions() layers.LayerOptions {
	o := w.layerOptions(w.extraLayers())
	var done atomic.Int64
	o.Report = func(bytes int) { w.progress(w.number, done.Add(int64(bytes)), 0) }
	o.Index = len(w.req.CacheFrom)+len(w.req.CacheTo) > 0
	return o
}

// filler returns what writes the layer of the step.
func (w *work) filler(ctx context.Context) (func(*layers.LayerWriter) error, error) {
	switch s := w.step.(type) {
	case *dockerfile.Mkdir:
		return func(l *layers.LayerWriter) error { return packDir(l, s) }, nil
	case *dockerfile.Copy:
		tree, err := w.tree(ctx, s.From)
		if err != nil {
			return nil, err
		}
		picks, err := packable(ctx, tree, s)
		return func(l *layers.LayerWriter) error { return packCopy(ctx, l, s, picks) }, err
	}
	return nil, errNotPackable
}

// packable returns what a COPY selects, if it is one directory, or files only.
func packable(ctx context.Context, tree Tree, c *dockerfile.Copy) (all []pick, err error) {
	if len(c.Inline) > 0 || c.Parents {
		return nil, errNotPackable
	}
	for _, source := range c.Sources {
		if remote, err := parseRemote(c, source); c.Add && (remote != nil || err != nil) {
			return nil, errNotPackable
		}
	}
	for _, source := range c.Sources {
		picks, err := pickLocal(ctx, tree, c, source)
		if err != nil {
			return nil, errNotPackable // who copies file by file says why
		}
		all = append(all, picks...)
	}
	dirs := slices.ContainsFunc(all, func(p pick) bool { return p.node.IsDir() })
	if len(all) == 0 || dirs && len(all) > 1 || !dirs && c.Add { // an archive would be unpacked
		return nil, errNotPackable
	}
	return all, nil
}

// packCopy writes the layer of a COPY.
func packCopy(ctx context.Context, l *layers.LayerWriter, c *dockerfile.Copy, picks []pick) error {
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

// packDir writes the layer of a WORKDIR, as makeDir and the layer of its draft would.
func packDir(l *layers.LayerWriter, m *dockerfile.Mkdir) error {
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
