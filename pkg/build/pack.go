// This file owns steps whose results are written as layers, without their files: those at the end of an image, where the files
// that they stand on may stay in a registry. A COPY --link needs none of these, another COPY or a WORKDIR only what an index
// says of them.

package build

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// pack makes the state of the step as a layer only, over the files of lower; nil: those of the parent, if they are here and
// nothing in this build reads those of the step. The error is ErrNotPackable where the files must be made after all.
func (w *work) pack(ctx context.Context, out layers.Key, lower *rootfs.View) error {
	if lower == nil && !(w.unread(isLinked) && w.build.store.Unpacked(w.parent)) {
		return files.ErrNotPackable
	}
	fill, err := w.filler(ctx)
	if err == nil && lower == nil {
		lower, err = w.below()
	}
	if err != nil {
		return err
	}
	err = w.build.store.Pack(ctx, out, w.parent, lower, w.packOptions(), func(l *rootfs.LayerWriter) error {
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
	o := w.layerOptions()
	var done atomic.Int64
	o.Report = func(bytes int) { w.build.events.progress(w.number, done.Add(int64(bytes)), 0) }
	o.Index = len(w.build.req.CacheFrom)+len(w.build.req.CacheTo) > 0
	return o
}

// filler returns what writes the layer of the step.
func (w *work) filler(ctx context.Context) (func(*rootfs.LayerWriter) error, error) {
	switch s := w.step.(type) {
	case *dockerfile.Mkdir:
		return func(l *rootfs.LayerWriter) error { return files.PackDir(l, s) }, nil
	case *dockerfile.Copy:
		tree, err := w.build.sources.tree(ctx, s.From)
		if err != nil {
			return nil, err
		}
		return files.Packing(ctx, tree, s)
	}
	return nil, files.ErrNotPackable
}

// unread says whether only the layer of a step's result is wanted: all steps that follow it in the image are of the kind
// that reads no files.
func (w *work) unread(kind func(dockerfile.Step) bool) bool {
	if w.build.req.NoLayers || w.build.req.Files || w.build.req.Layering == OneLayer {
		return false
	}
	for st := w.build.resolver.stages[w.build.req.Plan.Target]; st != nil; st = st.parent {
		for _, s := range slices.Backward(st.steps) {
			if st == w.stage && s == w.step {
				return true
			}
			if !kind(s) {
				return false
			}
		}
	}
	return false
}

// below returns the files that a packed layer is written over, where they are here.
func (w *work) below() (*rootfs.View, error) {
	if isLinked(w.step) {
		return rootfs.NewView(), nil
	}
	return w.build.store.View(w.parent)
}

// lowerByIndex returns what the layer of a step is written over where the files of its parent are not here, and need not be:
// nothing, or what indexes say of them. foreign says that a shared cache has a say in it.
func (w *work) lowerByIndex(ctx context.Context) (v *rootfs.View, foreign bool) {
	if !bringsFiles(w.step) || w.build.store.Unpacked(w.parent) {
		return nil, false
	}
	nothing, linked := rootfs.NewView(), isLinked(w.step)
	if linked && w.unread(isLinked) {
		return nothing, false
	}
	if w.build.store.Has(w.parent) || !w.unread(bringsFiles) {
		return nil, false
	}
	v, foreign, err := w.build.indexes.view(ctx, w.parent)
	if err == nil && linked {
		return nothing, false
	}
	return v, foreign
}

// packAhead compresses what the RUN installs while it runs, if its layers will be wanted.
func (w *work) packAhead(ctx context.Context, d *layers.Draft, s *dockerfile.Run) {
	if w.build.exports.layering.wants(w.stage) && installsPython(s) {
		d.PackAhead(ctx, toolcache.Prefixes(s), w.layerOptions())
	}
}
