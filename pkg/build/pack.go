package build

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// pack makes the state of the step as a layer only, over the files of lower; nil: those of the parent, if they are here and
// nothing in this build reads those of the step. The error is ErrNotPackable where the files must be made after all.
func (w *work) pack(ctx context.Context, out layers.Key, lower *rootfs.View) error {
	if lower == nil && !(w.unread(isLinked) && w.Store.Unpacked(w.parent)) {
		return files.ErrNotPackable
	}
	fill, err := w.filler(ctx)
	if err == nil && lower == nil {
		lower, err = w.below()
	}
	if err != nil {
		return err
	}
	err = w.Store.Pack(ctx, out, w.parent, lower, w.packOptions(), func(l *rootfs.LayerWriter) error {
		w.begin()
		return fill(l)
	})
	for _, why := range []error{files.ErrNotPackable, layers.ErrMaySplit, rootfs.ErrForeignOwner, rootfs.ErrNoContent} {
		if errors.Is(err, why) {
			return files.ErrNotPackable
		}
	}
	return files.NeedsRights(err)
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
func (w *work) filler(ctx context.Context) (func(*rootfs.LayerWriter) error, error) {
	switch s := w.step.(type) {
	case *dockerfile.Mkdir:
		return func(l *rootfs.LayerWriter) error { return files.PackDir(l, s) }, nil
	case *dockerfile.Copy:
		tree, err := w.tree(ctx, s.From)
		if err != nil {
			return nil, err
		}
		return files.Packing(ctx, tree, s)
	}
	return nil, files.ErrNotPackable
}
