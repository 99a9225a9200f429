// Package madeimage is an image that is made here: bytes of a manifest and a config in memory, and layers that are elsewhere.
package madeimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// built is an image whose manifest and config are bytes in memory and whose layers are elsewhere.
type built struct {
	config, manifest []byte
	layers           []v1.Layer
}

var _ v1.Image = (*built)(nil)

// New describes the layers in a manifest. Their sizes and digests must be known by then.
func New(raw []byte, all []v1.Layer) (v1.Image, error) {
	sum := sha256.Sum256(raw)
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{},
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(raw)), Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}}}
	for _, l := range all {
		d, err := partial.Descriptor(l)
		if err != nil {
			return nil, fmt.Errorf("describing a layer: %w", err)
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: ociLayerType(d.MediaType), Size: d.Size, Digest: d.Digest,
			Annotations: codec.AboutBlob(d.Annotations)})
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	return &built{raw, manifest, all}, nil
}

// ociLayerType turns the media types of Docker's schema 2 into their OCI names: one manifest must not mix them.
func ociLayerType(t types.MediaType) types.MediaType {
	switch t {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	case types.DockerForeignLayer:
		return types.OCIRestrictedLayer
	}
	return t
}

// Layers implements v1.Image, as all that follow do.
func (i *built) Layers() ([]v1.Layer, error)         { return i.layers, nil }
func (i *built) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (i *built) Size() (int64, error)                { return int64(len(i.manifest)), nil }
func (i *built) ConfigName() (v1.Hash, error)        { return partial.ConfigName(i) }
func (i *built) ConfigFile() (*v1.ConfigFile, error) { return partial.ConfigFile(i) }
func (i *built) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *built) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *built) RawManifest() ([]byte, error)        { return i.manifest, nil }

// Manifest returns a copy: callers may change it.
func (i *built) Manifest() (*v1.Manifest, error) {
	return v1.ParseManifest(bytes.NewReader(i.manifest))
}

// LayerByDigest also returns the config as a layer, as images of ggcr do.
func (i *built) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if config, err := i.ConfigName(); err == nil && config == h {
		return partial.ConfigLayer(i)
	}
	return i.find(h, v1.Layer.Digest)
}

func (i *built) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return i.find(h, v1.Layer.DiffID) }

// find finds a layer by one of its names.
func (i *built) find(h v1.Hash, name func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	for _, l := range i.layers {
		if got, err := name(l); err == nil && got == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no layer %v in this image", h)
}
