package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Steps at the end of an image are light where they can be made as layers while the files that they stand on stay in a
// registry: a COPY --link needs none of them, another COPY or a WORKDIR only what an index says of them.

// isLinked says whether a step is a COPY --link, which is the same whatever it stands on.
func isLinked(s dockerfile.Step) bool {
	c, ok := s.(*dockerfile.Copy)
	return ok && files.Linked(c)
}

func isLight(s dockerfile.Step) bool {
	_, run := s.(*dockerfile.Run)
	return !run
}

// unread says whether only the layer of a step's result is wanted: all steps that follow it in the image are of the kind
// that reads no files.
func (w *work) unread(kind func(dockerfile.Step) bool) bool {
	if w.req.NoLayers || w.req.Files || w.req.Layering == OneLayer {
		return false
	}
	for st := w.target; st != nil; st = st.parent {
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
	return w.Store.View(w.parent)
}

// light returns what the layer of a light step is written over, and whether that is known from a shared cache only. It is
// nil where the files of the parent are here, or have to be.
func (w *work) light(ctx context.Context) (v *rootfs.View, foreign bool) {
	if !isLight(w.step) || w.Store.Unpacked(w.parent) {
		return nil, false
	}
	nothing, linked := rootfs.NewView(), isLinked(w.step)
	if linked && w.unread(isLinked) {
		return nothing, false
	}
	if w.Store.Has(w.parent) || !w.unread(isLight) {
		return nil, false
	}
	v, foreign, err := w.indexView(ctx, w.parent)
	if err == nil && linked {
		return nothing, false
	}
	return v, foreign
}

// errNoIndex says that what a state has can only be known by unpacking it.
var errNoIndex = errors.New("there is no index")

// indexType is the media type of an index in a shared cache.
const indexType types.MediaType = "application/vnd.gbuild.index.v1+zstd"

// maxIndexBlob keeps a shared cache from filling the memory, in bytes.
const maxIndexBlob = 16 << 20

// level is one snapshot of a state, with its layers.
type level struct {
	key    layers.Key
	layers []v1.Layer
	copied bool // a COPY made it: another one may have the same files
}

// levels lists the snapshots of a state, the uppermost first. The error is errNoIndex where it is made of anything but
// an image and steps of this build.
func (r *run) levels(ctx context.Context, k layers.Key) (all []level, err error) {
	for !k.IsZero() {
		if b := r.baseOf(k); b != nil {
			base, err := b.levels()
			return append(all, base...), err
		}
		made := r.madeOf(k)
		l := level{key: k, copied: made.copied}
		if !made.known {
			return nil, errNoIndex
		}
		if im := r.importOf(k); im != nil {
			l.layers = im.layers
		} else if l.layers, err = r.madeLayers(ctx, k); err != nil {
			return nil, err
		}
		all, k = append(all, l), made.parent
	}
	return all, nil
}

func (b *base) levels() (all []level, err error) {
	var k layers.Key
	for _, l := range b.layers {
		id, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		k = layers.ChainKey(k, id)
		all = append(all, level{k, []v1.Layer{l}, false})
	}
	if k != b.key { // it was built here, and is known by its recipe
		return nil, errNoIndex
	}
	slices.Reverse(all)
	return all, nil
}

// filesKey names a state by its layers.
func filesKey(all []level) (layers.Key, error) {
	h := sha256.New()
	for _, level := range all {
		for _, l := range level.layers {
			id, err := l.DiffID()
			if err != nil {
				return layers.Key{}, err
			}
			fmt.Fprintln(h, id)
		}
		fmt.Fprintln(h)
	}
	return layers.Key(h.Sum(nil)), nil
}

// index returns the index of a snapshot: one that was kept, or a new one of the files that are here.
func (r *run) index(ctx context.Context, l level) ([]byte, error) {
	if data, ok := r.Store.Index(l.layers, layers.Key{}); ok {
		return data, nil
	}
	if !r.mayWork() {
		return nil, errNoIndex
	}
	return r.Store.MakeIndex(ctx, l.key, l.layers, l.copied)
}

// indexView returns what is known of the files of a state without them: here, or, then it is foreign, in a shared cache.
func (r *run) indexView(ctx context.Context, k layers.Key) (v *rootfs.View, foreign bool, err error) {
	all, err := r.levels(ctx, k)
	if err != nil {
		return nil, false, err
	}
	indexes := make([][]byte, len(all))
	for i, l := range all {
		if indexes[i], err = r.index(ctx, l); err == nil {
			continue
		}
		foreign = true
		if data, ok := r.keptIndex(l); ok {
			indexes[i] = data
		} else if indexes[i], err = r.sharedIndex(all, i); err != nil {
			return nil, false, err
		}
	}
	v, err = rootfs.IndexView(indexes...)
	return v, foreign, err
}

// keptIndex is the index of a snapshot that a build with the same shared caches had from them.
func (r *run) keptIndex(l level) ([]byte, bool) {
	if r.caches.IsZero() {
		return nil, false
	}
	return r.Store.Index(l.layers, r.caches)
}

// sharedIndex fetches the index of a snapshot, the i-th of all, from a shared cache. It is kept for builds that read the
// same caches only: nothing proves that it is true.
func (r *run) sharedIndex(all []level, i int) ([]byte, error) {
	key, err := filesKey(all)
	if err != nil {
		return nil, err
	}
	e := r.shared(sharedFiles, key)
	if e == nil || len(e.layers) != len(all) {
		return nil, errNoIndex
	}
	rc, err := e.layers[i].Compressed()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, maxIndexBlob))
	if err != nil {
		return nil, err
	}
	return data, r.Store.KeepIndex(all[i].layers, r.caches, data)
}

// indexing names the future of the indexes of a state.
type indexing layers.Key

// shareFiles writes the indexes of what a light step stands on to the caches that are to have its result: on a machine
// that has none of the files, another such step can be made then.
func (w *work) shareFiles(ctx context.Context) {
	if len(w.req.CacheTo) == 0 || !isLight(w.step) || !w.unread(isLight) || isLinked(w.step) && w.unread(isLinked) {
		return
	}
	w.once(indexing(w.parent), func() (layers.Key, error) {
		all, err := w.levels(ctx, w.parent)
		if errors.Is(err, ErrNeedsNamespace) || ctx.Err() != nil {
			return w.parent, err
		}
		key, keyErr := filesKey(all)
		if err == nil && keyErr == nil && len(all) > 0 {
			w.shareIndexes(ctx, key, all)
		}
		return w.parent, nil
	})
}

func (r *run) shareIndexes(ctx context.Context, key layers.Key, all []level) {
	for _, c := range r.req.CacheTo {
		if old, _ := c.find(r.outer, c.tag(sharedFiles, key)); old != nil && time.Since(old.used) < sharedRefresh {
			continue
		}
		var indexes []v1.Layer
		for _, l := range all {
			data, err := r.index(ctx, l)
			if kept, ok := r.keptIndex(l); err != nil && ok {
				data, err = kept, nil
			}
			if err != nil {
				return // what others do without
			}
			indexes = append(indexes, static.NewLayer(data, indexType))
		}
		r.shareEntry(ctx, c, sharedFiles, key, key, func() ([]v1.Layer, error) { return indexes, nil })
	}
}
