// Layers that are kept, or that come from elsewhere: what go-containerregistry sees of them, and what is remembered of each.

package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// storedLayer is a layer whose bytes are a blob here, or can be had from where they came from.
type storedLayer struct {
	blobs  *blobs
	record layerRecord
}

// layerRecord is what is remembered of a layer.
type layerRecord struct {
	DiffID    v1.Hash         `json:"diffID"`
	Digest    v1.Hash         `json:"digest"`
	Size      int64           `json:"size"`
	MediaType types.MediaType `json:"mediaType"`
	Source    string          `json:"source,omitempty"` // the repository that the layer came from; empty for one that was made here
	Made      time.Time       `json:"made,omitzero"`

	Annotations map[string]string `json:"annotations,omitempty"` // the annotations that its descriptor gets in a manifest

	Distributions []string `json:"distributions,omitempty"`
}

// Digest implements v1.Layer.
func (l *storedLayer) Digest() (v1.Hash, error) { return l.record.Digest, nil }

// DiffID implements v1.Layer.
func (l *storedLayer) DiffID() (v1.Hash, error) { return l.record.DiffID, nil }

// Size implements v1.Layer.
func (l *storedLayer) Size() (int64, error) { return l.record.Size, nil }

// MediaType implements v1.Layer.
func (l *storedLayer) MediaType() (types.MediaType, error) { return l.record.MediaType, nil }

// Descriptor is what a manifest says of the layer. ggcr's partial.Descriptor finds it.
func (l *storedLayer) Descriptor() (*v1.Descriptor, error) {
	r := l.record
	return &v1.Descriptor{MediaType: r.MediaType, Size: r.Size, Digest: r.Digest, Annotations: r.Annotations}, nil
}

// Source returns the repository that the layer came from, "" if it was made here.
func (l *storedLayer) Source() string { return l.record.Source }

// Compressed implements v1.Layer.
func (l *storedLayer) Compressed() (io.ReadCloser, error) {
	r, _, err := l.blobs.open(l.record.Digest)
	if !errors.Is(err, fs.ErrNotExist) || l.record.Source == "" || l.blobs.hooks.Fetch == nil {
		return r, err
	}
	d := v1.Descriptor{Digest: l.record.Digest, Size: l.record.Size, MediaType: l.record.MediaType}
	layer, err := l.blobs.hooks.Fetch(context.Background(), l.record.Source, d)
	if err != nil {
		return nil, fmt.Errorf("fetching layer %s from %s: %w", d.Digest, l.record.Source, err)
	}
	return layer.Compressed()
}

// Uncompressed implements v1.Layer.
func (l *storedLayer) Uncompressed() (io.ReadCloser, error) {
	compressed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	r, err := codec.Decompress(compressed)
	if err != nil {
		return nil, errors.Join(err, compressed.Close())
	}
	return &joinedReader{r, compressed}, nil
}

type joinedReader struct {
	io.ReadCloser
	below io.Closer
}

// Close closes both readers.
func (r *joinedReader) Close() error { return errors.Join(r.ReadCloser.Close(), r.below.Close()) }

// nearLayer is a layer of elsewhere whose bytes are read here once they are here.
type nearLayer struct {
	v1.Layer
	blobs *blobs
}

// Compressed implements v1.Layer.
func (l *nearLayer) Compressed() (io.ReadCloser, error) {
	h, err := l.Digest()
	if err != nil {
		return nil, err
	}
	if r, _, err := l.blobs.open(h); err == nil {
		return r, nil
	}
	return l.Layer.Compressed()
}

// Source is that of the layer elsewhere.
func (l *nearLayer) Source() string { return sourceOf(l.Layer) }

// Descriptor is what the manifest elsewhere says of the layer. ggcr's partial.Descriptor finds it.
func (l *nearLayer) Descriptor() (*v1.Descriptor, error) { return partial.Descriptor(l.Layer) }

// sourced is a layer that knows the repository that it came from.
type sourced interface{ Source() string }

func sourceOf(l v1.Layer) string {
	if s, ok := l.(sourced); ok {
		return s.Source()
	}
	return ""
}

// DistributionsOf names the Python distributions that a layer of a split snapshot has; none for that of the rest, and
// for every other layer.
func DistributionsOf(l v1.Layer) []string {
	if s, ok := l.(interface{ Distributions() []string }); ok {
		return s.Distributions()
	}
	return nil
}

// Distributions is what DistributionsOf returns.
func (l *storedLayer) Distributions() []string { return l.record.Distributions }

// mostUnpackedOf is how much layers of so many compressed bytes may unpack to.
func mostUnpackedOf(size int64) int64 { return max(minUnpacked, maxRatio*size) }

const (
	minUnpacked = 20 << 30 // a layer may always unpack to so many bytes
	maxRatio    = 200      // or to so many times its compressed size
)
