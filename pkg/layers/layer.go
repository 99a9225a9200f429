// The layers of snapshots: looking them up, and making them. Making is done under a lock that is named by the state, so that
// processes which want the same layers wait for the first one.

package layers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// Layers returns the layers of the snapshot of k, the lowest first, without those below it, and whether they were there
// already. Flattened they are the snapshot, however many they are. One that was unpacked from an image is returned as
// it came. Any other is written in one pass: snapshot, tar, digest, compression, digest, blob; but that of
// a distribution that is known is only read, and its old blob found. Layers have a method Distributions, see
// DistributionsOf. Processes that want the same ones wait for the first.
func (s *Store) Layers(ctx context.Context, k Key, o LayerOptions) ([]v1.Layer, bool, error) {
	if all, ok := s.maker.stored(k, o); ok {
		return interfaces(all), true, nil
	}
	held, err := s.disk.lock(ctx, k.String()+".layer")
	if err != nil {
		return nil, false, fmt.Errorf("making the layers of %s: %w", k, err)
	}
	defer held.Close()
	if all, ok := s.maker.stored(k, o); ok {
		return interfaces(all), true, nil
	}
	all, err := s.makeLayers(ctx, k, o)
	if err != nil {
		return nil, false, fmt.Errorf("making the layers of %s: %w", k, s.disk.explain(err))
	}
	return interfaces(all), false, nil
}

func interfaces(all []*storedLayer) (layers []v1.Layer) {
	for _, l := range all {
		layers = append(layers, l)
	}
	return layers
}

// StoredLayers returns what Layers would return where it only has to look up, and not to make, the layers.
func (s *Store) StoredLayers(k Key, o LayerOptions) ([]v1.Layer, bool) {
	all, ok := s.maker.stored(k, o)
	return interfaces(all), ok
}

// HasLayers says whether StoredLayers has some.
func (s *Store) HasLayers(k Key, o LayerOptions) bool {
	_, ok := s.maker.stored(k, o)
	return ok
}

func (s *Store) makeLayers(ctx context.Context, k Key, o LayerOptions) ([]*storedLayer, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("scratch has no layer")
	}
	if err := s.Expand(ctx, k); err != nil {
		return nil, err
	}
	if err := s.fetchBack(ctx, k); err != nil { // the layer of a lent one is lost
		return nil, err
	}
	lower, err := s.snapshots.below(k)
	if err != nil {
		return nil, err
	}
	if a := s.aheads.take(k); a != nil {
		defer a.Close()
		a.Wait()
		o.blocks = a.Blocks
	}
	return s.maker.layersOf(ctx, k, s.disk.snapshot(k, "fs"), lower, o)
}

// layersOf makes the layers of a snapshot directory and remembers them under k.
func (m *maker) layersOf(ctx context.Context, k Key, snapshot string, lower *rootfs.View, o LayerOptions) (all []*storedLayer, err error) {
	if o.Alone {
		lower = rootfs.NewView()
	}
	var found []*split.Distribution
	if o.Max > 1 {
		if found, err = split.Find(snapshot); err != nil {
			return nil, err
		}
	}
	parts := split.Divide(found, o.Max)
	records, err := m.packParts(ctx, snapshot, parts, o, func(ctx context.Context) (layerRecord, error) {
		return m.pack(ctx, packing{o.Compression, o.sendFrom(sendFrom), o.blocks, o.Report}, func(w io.Writer) error {
			return rootfs.WriteDiff(ctx, w, []string{snapshot}, rootfs.DiffOptions{Lower: lower, Epoch: o.Epoch, Alone: o.Alone, Apart: split.Apart(parts)})
		})
	})
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		all = append(all, &storedLayer{blobs: m.blobs, record: r})
	}
	return all, m.records.remember(o.madeKind(), k, data)
}
