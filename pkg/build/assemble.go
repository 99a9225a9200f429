package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// assemble puts the image of the target together from its layers and its config.
func (r *run) assemble(ctx context.Context, target *stage, key layers.Key) (v1.Image, error) {
	x := &stack{run: r, extra: r.extraLayers(), parts: map[int][]string{}}
	add := x.add
	if r.req.Layering == OneLayer {
		add = x.squash
	}
	if err := add(ctx, target); err != nil {
		return nil, err
	}
	config := target.config.DeepCopy()
	config.History = x.history(config.History)
	config.RootFS = v1.RootFS{Type: "layers"}
	for _, l := range x.layers {
		id, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, id)
	}
	if err := r.date(config, target); err != nil {
		return nil, err
	}
	raw, err := target.resolved.MarshalConfig(config)
	if err != nil {
		return nil, fmt.Errorf("encoding config: %w", err)
	}
	if err := r.recompress(ctx, x.layers); err != nil {
		return nil, err
	}
	img, err := newImage(raw, x.layers)
	if err != nil {
		return nil, err
	}
	return img, rememberState(r.Store, img, key)
}

// recompress gives all layers the compression that was asked for, where it was asked for by force.
func (r *run) recompress(ctx context.Context, all []v1.Layer) error {
	if !r.req.Compress.Force {
		return nil
	}
	defer r.exports()()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // one that reads, one that writes: each uses all processors
	for i, l := range all {
		group.Go(func() (err error) {
			all[i], err = r.Store.Recompress(ctx, l, r.req.Compress, r.packed)
			return err
		})
	}
	return group.Wait()
}

// recordCreated is the kind of the records that keep when an image was first made, under the hash of all else in its
// config: the same build is the same image, to the byte, on every later day.
const recordCreated = "created"

// date sets the times of the image and of the history entries that this build added.
func (r *run) date(config *v1.ConfigFile, target *stage) error {
	at, err := r.created(config)
	if err != nil {
		return err
	}
	config.Created = v1.Time{Time: at}
	for i := range config.History {
		if h := &config.History[i]; h.Created.IsZero() && h.Comment == "buildkit.dockerfile.v0" {
			h.Created = v1.Time{Time: at}
		}
	}
	return nil
}

func (r *run) created(config *v1.ConfigFile) (time.Time, error) {
	if r.plan.Epoch != nil {
		return time.Unix(*r.plan.Epoch, 0).UTC(), nil
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return time.Time{}, err
	}
	key := layers.Key(sha256.Sum256(raw))
	record := key
	at, here := r.madeHere(key)
	known := here
	if !known && !r.caches.IsZero() {
		record = r.foreign(key)
		if at, here = r.madeHere(record); here {
			known = true
		} else {
			at, known = r.madeElsewhere(key)
		}
	}
	if !known || r.req.NoCache {
		at, here, record = r.started.Truncate(time.Second).UTC(), false, key
	}
	r.shareFact(r.outer, sharedCreated, key, timeKey(at))
	if here {
		return at, nil
	}
	return at, r.Store.Remember(recordCreated, record, []byte(strconv.FormatInt(at.Unix(), 10)))
}

// madeHere says when an image was first made here.
func (r *run) madeHere(key layers.Key) (time.Time, bool) {
	v, ok := r.Store.Recall(recordCreated, key)
	sec, err := strconv.ParseInt(string(v), 10, 64)
	return time.Unix(sec, 0).UTC(), ok && err == nil
}

// madeElsewhere says when an image was first made on a machine with the same shared cache.
func (r *run) madeElsewhere(key layers.Key) (time.Time, bool) {
	if e := r.shared(sharedCreated, key); e != nil {
		at := time.Unix(int64(binary.BigEndian.Uint64(e.result[:])), 0).UTC()
		return at, at.Unix() > 0 && at.Before(r.started.AddDate(0, 0, 1)) // not every clock is right
	}
	return time.Time{}, false
}

// timeKey holds a time, in seconds, where an entry of a shared cache holds a state.
func timeKey(at time.Time) (k layers.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(at.Unix()))
	return k
}

// builtImage is an image whose manifest and config are bytes in memory and whose layers are elsewhere.
type builtImage struct {
	config, manifest []byte
	layers           []v1.Layer
}

var _ v1.Image = (*builtImage)(nil)

func newImage(raw []byte, all []v1.Layer) (v1.Image, error) {
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
	return &builtImage{raw, manifest, all}, nil
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

func (i *builtImage) Layers() ([]v1.Layer, error)         { return i.layers, nil }
func (i *builtImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (i *builtImage) Size() (int64, error)                { return int64(len(i.manifest)), nil }
func (i *builtImage) ConfigName() (v1.Hash, error)        { return partial.ConfigName(i) }
func (i *builtImage) ConfigFile() (*v1.ConfigFile, error) { return partial.ConfigFile(i) }
func (i *builtImage) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *builtImage) Digest() (v1.Hash, error)            { return partial.Digest(i) }
func (i *builtImage) RawManifest() ([]byte, error)        { return i.manifest, nil }

func (i *builtImage) Manifest() (*v1.Manifest, error) {
	return v1.ParseManifest(bytes.NewReader(i.manifest))
}

func (i *builtImage) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if config, err := i.ConfigName(); err == nil && config == h {
		return partial.ConfigLayer(i)
	}
	return i.find(h, v1.Layer.Digest)
}

func (i *builtImage) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return i.find(h, v1.Layer.DiffID) }

func (i *builtImage) find(h v1.Hash, name func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	for _, l := range i.layers {
		if got, err := name(l); err == nil && got == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no layer %v in this image", h)
}
