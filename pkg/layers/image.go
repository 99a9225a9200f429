// A local image, as go-containerregistry sees it: manifest and config are read, layers are opened when they are asked for.

package layers

import (
	"bytes"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nameRecord is the content of such a file.
type nameRecord struct {
	Name    string            `json:"name"`
	Digest  v1.Hash           `json:"digest"` // the digest of the manifest
	Sources map[string]string `json:"sources,omitempty"`
	Tagged  time.Time         `json:"tagged"`
}

// ImageInfo describes a local image.
type ImageInfo struct {
	Name     string
	Digest   v1.Hash // the digest of the manifest
	ID       v1.Hash // the digest of the config
	Size     int64   // bytes of the compressed layers
	Created  time.Time
	Tagged   time.Time
	Platform *v1.Platform
}

// image is a local image: its manifest and config are read, its layers are opened when they are asked for.
type image struct {
	blobs     *blobs
	record    nameRecord
	manifest  *v1.Manifest
	config    *v1.ConfigFile
	rawConfig []byte
	raw       []byte
}

// openImage opens an image whose manifest and config read gets.
func openImage(b *blobs, r nameRecord, read func(v1.Hash) ([]byte, error)) (*image, error) {
	img := &image{blobs: b, record: r}
	if err := img.read(read); err != nil {
		return nil, fmt.Errorf("opening image %s: %w", r.Name, err)
	}
	return img, nil
}

// read reads and checks manifest and config.
func (i *image) read(read func(v1.Hash) ([]byte, error)) (err error) {
	if i.raw, err = read(i.record.Digest); err != nil {
		return err
	}
	if i.manifest, err = v1.ParseManifest(bytes.NewReader(i.raw)); err != nil {
		return &CorruptError{What: "manifest " + i.record.Digest.String(), Err: err}
	}
	if i.rawConfig, err = read(i.manifest.Config.Digest); err != nil {
		return err
	}
	if i.config, err = v1.ParseConfigFile(bytes.NewReader(i.rawConfig)); err != nil {
		return &CorruptError{What: "config " + i.manifest.Config.Digest.String(), Err: err}
	}
	if len(i.config.RootFS.DiffIDs) != len(i.manifest.Layers) {
		err = fmt.Errorf("the config has %d layers, the manifest %d", len(i.config.RootFS.DiffIDs), len(i.manifest.Layers))
		return &CorruptError{What: "image", Err: err}
	}
	return nil
}

// info describes the image for a list.
func (i *image) info() ImageInfo {
	info := ImageInfo{Name: i.record.Name, Digest: i.record.Digest, ID: i.manifest.Config.Digest,
		Created: i.config.Created.Time, Tagged: i.record.Tagged, Platform: i.config.Platform()}
	for _, l := range i.manifest.Layers {
		info.Size += l.Size
	}
	return info
}

// layer returns the layer at an index of the manifest.
func (i *image) layer(n int) *storedLayer {
	d := i.manifest.Layers[n]
	return &storedLayer{blobs: i.blobs, record: layerRecord{DiffID: i.config.RootFS.DiffIDs[n], Digest: d.Digest, Size: d.Size,
		MediaType: d.MediaType, Annotations: d.Annotations, Source: i.record.Sources[d.Digest.String()]}}
}

// Layers implements v1.Image.
func (i *image) Layers() ([]v1.Layer, error) {
	var layers []v1.Layer
	for n := range i.manifest.Layers {
		layers = append(layers, i.layer(n))
	}
	return layers, nil
}

// MediaType implements v1.Image.
func (i *image) MediaType() (types.MediaType, error) {
	if i.manifest.MediaType == "" {
		return types.OCIManifestSchema1, nil
	}
	return i.manifest.MediaType, nil
}

// Size implements v1.Image.
func (i *image) Size() (int64, error) { return int64(len(i.raw)), nil }

// ConfigName implements v1.Image.
func (i *image) ConfigName() (v1.Hash, error) { return i.manifest.Config.Digest, nil }

// ConfigFile implements v1.Image.
func (i *image) ConfigFile() (*v1.ConfigFile, error) { return i.config.DeepCopy(), nil }

// RawConfigFile implements v1.Image.
func (i *image) RawConfigFile() ([]byte, error) { return i.rawConfig, nil }

// Digest implements v1.Image.
func (i *image) Digest() (v1.Hash, error) { return i.record.Digest, nil }

// Manifest implements v1.Image.
func (i *image) Manifest() (*v1.Manifest, error) { return i.manifest.DeepCopy(), nil }

// RawManifest implements v1.Image.
func (i *image) RawManifest() ([]byte, error) { return i.raw, nil }

// LayerByDigest implements v1.Image. The config counts as a layer there.
func (i *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if h == i.manifest.Config.Digest {
		return partial.ConfigLayer(i)
	}
	for n, d := range i.manifest.Layers {
		if d.Digest == h {
			return i.layer(n), nil
		}
	}
	return nil, &NotFoundError{Kind: "layer", Name: h.String()}
}

// LayerByDiffID implements v1.Image.
func (i *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	for n, d := range i.config.RootFS.DiffIDs {
		if d == h {
			return i.layer(n), nil
		}
	}
	return nil, &NotFoundError{Kind: "layer", Name: h.String()}
}
