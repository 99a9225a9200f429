// This file goes from a manifest at a place to the image for one platform, whose layers are read when they are asked for.

package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/hint"
)

// place is somewhere that manifests and blobs are read from.
type place interface {
	// manifest reads a small document of the descriptor's digest, verified.
	manifest(ctx context.Context, d v1.Descriptor) ([]byte, error)
	// blob reads the bytes of the descriptor; they are verified at EOF.
	blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	// source is the registry and repository that layers can be mounted from, or empty.
	source() string
	fmt.Stringer
}

// indexDepth is how many indexes may stand between a name and its image.
const indexDepth = 4

// opening looks for the image for one platform.
type opening struct {
	place place
	want  v1.Platform
}

// image makes an image of a manifest, choosing from an index on the way. depth bounds indexes of indexes.
func (o opening) image(ctx context.Context, m rawManifest, depth int) (v1.Image, error) {
	name := o.place.String()
	mt, err := classify(name, m.raw, m.desc.MediaType)
	if err != nil {
		return nil, err
	}
	m.desc.MediaType = mt
	if mt.IsImage() {
		return newFetched(ctx, o.place, m)
	}
	if depth == 0 {
		return nil, hint.Errorf(noRemedy, "%s: its indexes are nested too deep", name)
	}
	index, err := v1.ParseIndexManifest(strings.NewReader(string(m.raw)))
	if err != nil {
		return nil, hint.Errorf(noRemedy, "%s: its index is malformed: %v", name, err)
	}
	return o.choice(ctx, index.Manifests, depth-1)
}

// choice makes the image that the entries of an index have for the platform.
func (o opening) choice(ctx context.Context, manifests []v1.Descriptor, depth int) (v1.Image, error) {
	d, have := choose(manifests, o.want)
	if d == nil {
		return nil, &PlatformError{o.place.String(), o.want, have}
	}
	raw, err := o.place.manifest(ctx, *d)
	if err != nil {
		return nil, err
	}
	return o.image(ctx, rawManifest{raw, *d}, depth)
}

// fetched is an image whose layers are read when they are asked for. It is ggcr's partial.CompressedImageCore.
type fetched struct {
	ctx    context.Context // It is that of Open: v1.Layer has none of its own.
	place  place
	raw    []byte // It is the manifest, as it was read.
	parsed *v1.Manifest
	desc   v1.Descriptor
	config []byte
	diffs  []v1.Hash // They are the DiffIDs of the layers, one for each.
}

// newFetched reads the config at once: nobody opens an image without it, and a broken one is best refused early.
func newFetched(ctx context.Context, p place, m rawManifest) (v1.Image, error) {
	parsed, err := v1.ParseManifest(strings.NewReader(string(m.raw)))
	if err != nil {
		return nil, hint.Errorf(noRemedy, "%s: its manifest is malformed: %v", p, err)
	}
	f := &fetched{ctx: ctx, place: p, raw: m.raw, parsed: parsed, desc: m.desc}
	if err := f.readConfig(); err != nil {
		return nil, err
	}
	core, err := partial.CompressedToImage(f)
	if err != nil {
		return nil, fmt.Errorf("making image of %s: %w", p, err)
	}
	return &placedImage{core, f}, nil
}

// readConfig also holds the config against the manifest: there is a DiffID for each layer.
func (f *fetched) readConfig() error {
	what := f.place.String() + ": config"
	if f.parsed.Config.Size > maxConfig {
		return hint.Errorf("this is no container image", "%s: is larger than %d MiB", what, maxConfig>>20)
	}
	rc, err := f.place.blob(f.ctx, f.parsed.Config)
	if err != nil {
		return err
	}
	defer rc.Close()
	if f.config, err = readCapped(rc, maxConfig, what); err != nil {
		return err
	}
	var config *v1.ConfigFile
	if err := json.Unmarshal(f.config, &config); err != nil || config == nil {
		return hint.Errorf("it may be an artifact, or made by a broken tool", "%s: is no image config", what)
	}
	f.diffs = config.RootFS.DiffIDs
	if len(f.diffs) != len(f.parsed.Layers) {
		return hint.Errorf("the tool that made the image is broken", "%s: lists %d layers, and the manifest %d", what, len(f.diffs), len(f.parsed.Layers))
	}
	return nil
}

// MediaType implements partial.CompressedImageCore.
func (f *fetched) MediaType() (types.MediaType, error) { return f.desc.MediaType, nil }

// RawManifest implements partial.CompressedImageCore.
func (f *fetched) RawManifest() ([]byte, error) { return f.raw, nil }

// RawConfigFile implements partial.CompressedImageCore.
func (f *fetched) RawConfigFile() ([]byte, error) { return f.config, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (f *fetched) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if h == f.parsed.Config.Digest {
		return &placedBlob{ctx: f.ctx, place: f.place, desc: f.parsed.Config}, nil
	}
	for i, d := range f.parsed.Layers {
		if d.Digest == h {
			return &placedBlob{ctx: f.ctx, place: f.place, desc: d, diffID: f.diffs[i]}, nil
		}
	}
	return nil, fmt.Errorf("finding layer %s of %s: no such layer", h, f.place)
}

// placedBlob is a partial.CompressedLayer that is read from a place.
type placedBlob struct {
	ctx    context.Context
	place  place
	desc   v1.Descriptor
	diffID v1.Hash // It is zero where nobody said it.
}

// Digest implements partial.CompressedLayer.
func (b *placedBlob) Digest() (v1.Hash, error) { return b.desc.Digest, nil }

// Size implements partial.CompressedLayer.
func (b *placedBlob) Size() (int64, error) { return b.desc.Size, nil }

// MediaType implements partial.CompressedLayer.
func (b *placedBlob) MediaType() (types.MediaType, error) { return b.desc.MediaType, nil }

// Compressed implements partial.CompressedLayer.
func (b *placedBlob) Compressed() (io.ReadCloser, error) { return b.place.blob(b.ctx, b.desc) }

// placedLayer is a v1.Layer that says where it is from.
type placedLayer struct {
	v1.Layer
	blob *placedBlob
}

func newLayer(b *placedBlob) (v1.Layer, error) {
	l, err := partial.CompressedToLayer(b)
	if err != nil {
		return nil, fmt.Errorf("making layer of %s: %w", b.desc.Digest, err)
	}
	return &placedLayer{l, b}, nil
}

// DiffID implements v1.Layer. ggcr reads the whole layer where nobody said it.
func (l *placedLayer) DiffID() (v1.Hash, error) {
	if l.blob.diffID != (v1.Hash{}) {
		return l.blob.diffID, nil
	}
	return l.Layer.DiffID()
}

// Source is the registry and repository that the layer is in ("host/repository"), or empty.
func (l *placedLayer) Source() string { return l.blob.place.source() }

// Descriptor returns what the manifest says about the layer. ggcr's partial.Descriptor finds it.
func (l *placedLayer) Descriptor() (*v1.Descriptor, error) { return l.blob.desc.DeepCopy(), nil }

// placedImage gives out layers that know their source.
type placedImage struct {
	v1.Image
	core *fetched
}

// Layers implements v1.Image.
func (i *placedImage) Layers() ([]v1.Layer, error) {
	layers := make([]v1.Layer, len(i.core.parsed.Layers))
	for n, d := range i.core.parsed.Layers {
		l, err := newLayer(&placedBlob{i.core.ctx, i.core.place, d, i.core.diffs[n]})
		if err != nil {
			return nil, err
		}
		layers[n] = l
	}
	return layers, nil
}

// LayerByDigest implements v1.Image.
func (i *placedImage) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	core, err := i.core.LayerByDigest(h)
	if err != nil {
		return nil, err
	}
	return newLayer(core.(*placedBlob))
}

// LayerByDiffID implements v1.Image.
func (i *placedImage) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	for n, d := range i.core.diffs {
		if d == h {
			return i.LayerByDigest(i.core.parsed.Layers[n].Digest)
		}
	}
	return nil, fmt.Errorf("finding layer %s of %s: no such layer", h, i.core.place)
}

// Descriptor returns what the index or the registry says about the image. ggcr's partial.Descriptor finds it.
func (i *placedImage) Descriptor() (*v1.Descriptor, error) { return i.core.desc.DeepCopy(), nil }
