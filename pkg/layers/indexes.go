// The indexes of snapshots, which are kept as records under the layers that the snapshots have. With them a later build can
// write over a state whose files are not here. How an index is made and read is rootfs's matter.

package layers

import (
	"context"
	"crypto/sha256"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// indexName names an index by the layers of the snapshot: its content. from is zero for what this store has made itself.
func indexName(all []v1.Layer, from Key) (Key, error) {
	h := sha256.New()
	if !from.IsZero() {
		fmt.Fprintln(h, "from", from)
	}
	for _, l := range all {
		id, err := l.DiffID()
		if err != nil {
			return Key{}, err
		}
		fmt.Fprintln(h, id)
	}
	return Key(h.Sum(nil)), nil
}

// Index returns the index that is remembered of a snapshot with these layers: the one that was made here, or, with from,
// the one that was kept from there.
func (s *Store) Index(all []v1.Layer, from Key) ([]byte, bool) {
	name, err := indexName(all, from)
	if err != nil {
		return nil, false
	}
	return s.records.recall(filesKind, name)
}

// MakeIndex makes and remembers the index of the snapshot of k, which has these layers. It must run where the owners of files
// are what they are in the image, as Draft must. With sums all files are read, for COPY to compare its own with. The error
// is a *NotFoundError where the files are not here.
func (s *Store) MakeIndex(ctx context.Context, k Key, all []v1.Layer, sums bool) ([]byte, error) {
	if !s.Has(k) || !s.snapshots.hasFiles(k) {
		return nil, &NotFoundError{Kind: "snapshot", Name: k.String()}
	}
	name, err := indexName(all, Key{})
	if err != nil {
		return nil, err
	}
	return s.maker.indexDirectory(ctx, s.disk.snapshot(k, "fs"), name, sums)
}

func (m *maker) indexDirectory(ctx context.Context, dir string, name Key, sums bool) ([]byte, error) {
	w := rootfs.NewIndexer(sums)
	err := w.Directory(ctx, dir)
	var data []byte
	if err == nil {
		data, err = w.Index()
	}
	if err != nil {
		return nil, fmt.Errorf("making an index: %w", err)
	}
	if rootfs.Lossy() { // it is that of the files here, and not of the layers
		return data, nil
	}
	return data, m.records.remember(filesKind, name, data)
}

// KeepIndex remembers an index from elsewhere, apart from those that were made here.
func (s *Store) KeepIndex(all []v1.Layer, from Key, data []byte) error {
	name, err := indexName(all, from)
	if err == nil {
		_, err = rootfs.OpenIndex(data, nil)
	}
	if err != nil {
		return err
	}
	return s.records.remember(filesKind, name, data)
}

// keepIndex remembers the index that w made of a layer, if it could.
func (m *maker) keepIndex(w *rootfs.Indexer, r layerRecord) error {
	data, err := w.Index()
	if err != nil {
		return nil // it would only have saved time
	}
	name, err := indexName([]v1.Layer{&storedLayer{blobs: m.blobs, record: r}}, Key{})
	if err != nil {
		return err
	}
	return m.records.remember(filesKind, name, data)
}
