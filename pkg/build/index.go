// This file owns what is known of the files of a state without them: an index of each of its snapshots.

package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// errNoIndex says that what a state has can only be known by unpacking it.
var errNoIndex = errors.New("there is no index")

// indexType is the media type of an index in a shared cache.
const indexType types.MediaType = "application/vnd.gbuild.index.v2+zstd"

// maxIndexBlob keeps a shared cache from filling the memory, in bytes.
const maxIndexBlob = 16 << 20

// indexes finds indexes: of files that are here, of earlier builds, or of a shared cache.
type indexes struct {
	store   *layers.Store
	states  *states
	exports *exports
	caches  *sharedCaches
	foreign layers.Key // names the caches that the build reads: see names

	written tasks.Once[layers.Key, struct{}]
}

// level is one snapshot of a state, with its layers.
type level struct {
	key    layers.Key
	layers []v1.Layer
	copied bool // a COPY made it: another one may have the same files
}

// levels lists the snapshots of a state, the uppermost first. The error is errNoIndex where it is made of anything but
// an image and steps of this build.
func (x *indexes) levels(ctx context.Context, k layers.Key) (all []level, err error) {
	for !k.IsZero() {
		if b := x.states.bases.of(k); b != nil {
			base, err := b.levels()
			if x.states.process.entered && len(base) > 0 && base[0].key != k { // it was built here, and is known by its recipe
				return nil, errNoIndex
			}
			return append(all, base...), err
		}
		made := x.states.originOf(k)
		l := level{key: k, copied: made.copied}
		if !made.known {
			return nil, errNoIndex
		}
		if im := x.states.importOf(k); im != nil {
			l.layers = im.layers
		} else if l.layers, err = x.exports.layers(ctx, k); err != nil {
			return nil, err
		}
		all, k = append(all, l), made.parent
	}
	return all, nil
}

// levels lists the layers of an image as snapshots: each is known by the layers below it.
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
func (x *indexes) index(ctx context.Context, l level) ([]byte, error) {
	if data, ok := x.store.Index(l.layers, layers.Key{}); ok {
		return data, nil
	}
	if !x.states.process.entered {
		return nil, errNoIndex
	}
	return x.store.MakeIndex(ctx, l.key, l.layers, l.copied)
}

// view returns what is known of the files of a state without them: here, or, then it is foreign, in a shared cache.
func (x *indexes) view(ctx context.Context, k layers.Key) (v *rootfs.View, foreign bool, err error) {
	all, err := x.levels(ctx, k)
	if err != nil {
		return nil, false, err
	}
	indexes := make([]rootfs.Index, len(all))
	for i, l := range all {
		data, err := x.index(ctx, l)
		if err != nil {
			foreign = true
			if kept, ok := x.kept(l); ok {
				data, err = kept, nil
			} else {
				data, err = x.shared(all, i)
			}
		}
		if err == nil {
			indexes[i], err = rootfs.OpenIndex(data, nil)
		}
		if err != nil {
			return nil, false, err
		}
	}
	return rootfs.IndexView(indexes...), foreign, nil
}

// kept is the index of a snapshot that a build with the same shared caches had from them.
func (x *indexes) kept(l level) ([]byte, bool) {
	if x.foreign.IsZero() {
		return nil, false
	}
	return x.store.Index(l.layers, x.foreign)
}

// shared fetches the index of a snapshot, the i-th of all, from a shared cache. It is kept for builds that read the
// same caches only: nothing proves that it is true.
func (x *indexes) shared(all []level, i int) ([]byte, error) {
	key, err := filesKey(all)
	if err != nil {
		return nil, err
	}
	e := x.caches.entry(sharedFiles, key)
	if e == nil || len(e.Layers) != len(all) {
		return nil, errNoIndex
	}
	rc, err := e.Layers[i].Compressed()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, maxIndexBlob))
	if err != nil {
		return nil, err
	}
	return data, x.store.KeepIndex(all[i].layers, x.foreign, data)
}

// share writes the indexes of a state to the caches that are to have results: on a machine that has none of the files, a step
// can be packed over them then.
func (x *indexes) share(ctx context.Context, k layers.Key) {
	x.written.Start(k, func() (none struct{}, err error) {
		all, err := x.levels(ctx, k)
		if errors.Is(err, ErrNeedsNamespace) || ctx.Err() != nil {
			return none, err
		}
		key, keyErr := filesKey(all)
		if err == nil && keyErr == nil && len(all) > 0 {
			x.write(ctx, key, all)
		}
		return none, nil
	})
}

// write writes one entry, with a layer for each index, unless a cache has a fresh one.
func (x *indexes) write(ctx context.Context, key layers.Key, all []level) {
	for _, c := range x.caches.to {
		if x.caches.isFresh(c, sharedFiles, key) {
			continue
		}
		var indexes []v1.Layer
		for _, l := range all {
			data, err := x.index(ctx, l)
			if kept, ok := x.kept(l); err != nil && ok {
				data, err = kept, nil
			}
			if err != nil {
				return // nobody relies on an index
			}
			indexes = append(indexes, static.NewLayer(data, indexType))
		}
		x.caches.write(ctx, c, c.Tag(sharedFiles, key), key, func() ([]v1.Layer, error) { return indexes, nil })
	}
}
