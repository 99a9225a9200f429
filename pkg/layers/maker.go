// Making the blobs of layers, and the records that find them again. A layer is made in one pass: tar, digest, compression, digest,
// blob.

package layers

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// maker makes layers of tars.
type maker struct {
	blobs    *blobs
	records  records
	encoders codec.Encoders
}

// packing says how a blob is made.
type packing struct {
	codec.Compression
	from   int64         // the size from which it is sent
	blocks *codec.Blocks // blocks of large files that were made ahead
	report func(bytes int)
}

// pack makes a blob of the tar that write writes, and returns what is to be remembered of it.
func (m *maker) pack(ctx context.Context, o packing, write func(io.Writer) error) (r layerRecord, err error) {
	blob, err := m.blobs.create(ctx)
	if err != nil {
		return r, err
	}
	defer blob.abort()
	blob.send(o.from)
	made, err := codec.Compress(blob, o.Compression, codec.Options{Encoders: &m.encoders, Blocks: o.blocks, Report: o.report}, write)
	if err != nil {
		return r, err
	}
	d, err := blob.commit(v1.Hash{})
	if err != nil {
		return r, err
	}
	return layerRecord{DiffID: made.DiffID, Digest: d.Digest, Size: d.Size, MediaType: o.MediaType(), Made: time.Now(),
		Annotations: made.Annotations}, nil
}

// recall returns the layer that is remembered of the kind under k.
func (m *maker) recall(kind string, k Key) (*storedLayer, bool) {
	data, ok := m.records.recall(kind, k)
	if !ok {
		return nil, false
	}
	l := &storedLayer{blobs: m.blobs}
	return l, json.Unmarshal(data, &l.record) == nil
}

func (m *maker) remember(kind string, k Key, r layerRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return m.records.remember(kind, k, data)
}

// readLayers reads a record of one layer, or of several.
func readLayers(data []byte) (all []layerRecord) {
	var one layerRecord
	if json.Unmarshal(data, &one) == nil {
		return []layerRecord{one}
	}
	if json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// here says whether the bytes of a layer that was made are here.
func (m *maker) here(r layerRecord) bool {
	size, ok := m.blobs.has(r.Digest)
	return ok && size == r.Size
}

// newBlocks makes a place for compressed blocks. The file ends with the process.
func (m *maker) newBlocks(c codec.Compression) (*codec.Blocks, error) {
	path := m.blobs.disk.path("ingest", rand.Text())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may have taken it for left
		f.Close()
		return nil, err
	}
	b, err := codec.NewBlocks(c, &m.encoders, f)
	if err != nil {
		f.Close()
	}
	return b, err
}

// stored returns the layers if their bytes are here or can be fetched.
func (m *maker) stored(k Key, o LayerOptions) ([]*storedLayer, bool) {
	if l, ok := m.recall(baseKind, k); ok {
		if _, here := m.blobs.has(l.record.Digest); here || l.record.Source != "" && m.blobs.hooks.Fetch != nil {
			return []*storedLayer{l}, true
		}
	}
	if all, ok := m.storedAs(o.kind(), k, o); ok {
		return all, true
	}
	return m.storedAs(o.madeKind(), k, o)
}

// storedAs returns the layers that are remembered of a kind, if their bytes are here.
func (m *maker) storedAs(kind string, k Key, o LayerOptions) ([]*storedLayer, bool) {
	data, _ := m.records.recall(kind, k)
	var all []*storedLayer
	for _, r := range readLayers(data) {
		if !m.here(r) {
			return nil, false
		}
		all = append(all, &storedLayer{blobs: m.blobs, record: r})
	}
	return all, 0 < len(all) && len(all) <= max(o.Max, 1) // those of a shared cache may be more
}
