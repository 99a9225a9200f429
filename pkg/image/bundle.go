// This file collects the files that an image is in a layout or an archive.

package image

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layoutVersion is the content of the file oci-layout.
const layoutVersion = `{"imageLayoutVersion":"1.0.0"}`

// bundle is an image as the files that layouts and archives hold.
//
// Its blobs are the layers, then the config, then the manifest, and each digest is there once. So a reader that has seen the
// manifest has seen all that it names.
type bundle struct {
	kind    Kind
	desc    v1.Descriptor // It is that of the manifest.
	names   []string      // They are full references, or short names.
	created time.Time     // It is zero where the config does not say it.
	config  v1.Hash
	layers  []v1.Hash // They are in order, with repetitions.
	blobs   []blobFile
}

// blobFile is one blob. open can be called more than once.
type blobFile struct {
	desc v1.Descriptor
	open func() (io.ReadCloser, error)
}

// newBundle collects the files of an image. Names are those of the reference and of the options.
func newBundle(img v1.Image, r Ref, o WriteOptions) (*bundle, error) {
	b := &bundle{kind: r.Kind}
	if err := b.addNames(r, o.Tags); err != nil {
		return nil, err
	}
	m, err := manifestOf(img)
	if err != nil {
		return nil, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making config: %w", err)
	}
	parsed, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading config: %w", err)
	}
	b.created = parsed.Created.Time
	if err := b.addLayers(img); err != nil {
		return nil, err
	}
	if m.desc.MediaType == types.DockerManifestSchema2 && r.Kind != KindDockerArchive && !o.KeepTypes {
		if m, err = ociForm(m.raw); err != nil {
			return nil, err
		}
	}
	b.config = b.addBytes(config)
	b.addBytes(m.raw)
	b.desc = m.desc
	b.desc.Platform = platformOf(parsed)
	return b, r.check(b.desc.Digest)
}

// ociTypes are the OCI media types for Docker's layers, which mean the same bytes.
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerLayer:             types.OCILayer,
	types.DockerUncompressedLayer: types.OCIUncompressedLayer,
	types.DockerForeignLayer:      types.OCIRestrictedLayer,
}

// ociForm rewrites a manifest of Docker's types into OCI's: readers of OCI layouts (skopeo, podman) do not see the former.
func ociForm(raw []byte) (rawManifest, error) {
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return rawManifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	m.MediaType = types.OCIManifestSchema1
	m.Config.MediaType = types.OCIConfigJSON
	for i, l := range m.Layers {
		if mt, ok := ociTypes[l.MediaType]; ok {
			m.Layers[i].MediaType = mt
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		return rawManifest{}, fmt.Errorf("writing manifest: %w", err)
	}
	return newManifest(out, m.MediaType), nil
}

// addNames brings names to their full form. A short one, without a slash and a colon, stays as it is.
func (b *bundle) addNames(r Ref, tags []string) error {
	if r.Tag != "" && !strings.ContainsAny(r.Tag, "/:") && r.Kind != KindDockerArchive {
		b.names = append(b.names, r.Tag)
	} else if r.Tag != "" {
		tags = append([]string{r.Tag}, tags...)
	}
	for _, t := range tags {
		full, err := ParseRef(t)
		if err != nil {
			return err
		}
		if full.Kind != KindRegistry || full.Tag == "" || full.Digest != "" {
			return badRef(t, "an image in a file is named by a repository and a tag")
		}
		b.names = append(b.names, full.String())
	}
	return nil
}

// addLayers lists the layers. A layer that the image has twice is one file.
func (b *bundle) addLayers(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("listing layers: %w", err)
	}
	seen := map[v1.Hash]bool{}
	for _, l := range layers {
		d, err := partial.Descriptor(l)
		if err != nil {
			return fmt.Errorf("making layer: %w", err)
		}
		b.layers = append(b.layers, d.Digest)
		if !seen[d.Digest] {
			seen[d.Digest] = true
			b.blobs = append(b.blobs, blobFile{*d, l.Compressed})
		}
	}
	return nil
}

// addBytes adds a blob that is in memory, and returns its digest.
func (b *bundle) addBytes(raw []byte) v1.Hash {
	h, size := digestOf(raw)
	b.blobs = append(b.blobs, blobFile{v1.Descriptor{Digest: h, Size: size}, inMemory(raw)})
	return h
}

// size is the number of bytes of all blobs.
func (b *bundle) size() int64 {
	var n int64
	for _, f := range b.blobs {
		n += f.desc.Size
	}
	return n
}

// read opens a blob; its bytes are counted, and verified at EOF.
func (f blobFile) read(m *meter) (io.ReadCloser, error) {
	rc, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", f.desc.Digest, err)
	}
	return verified(&metered{ReadCloser: rc, m: m}, "blob "+f.desc.Digest.String(), f.desc), nil
}

// descriptors are the entries of index.json: one for each name, as BuildKit and containerd write them.
func (b *bundle) descriptors() []v1.Descriptor {
	names := b.names
	if len(names) == 0 {
		names = []string{""}
	}
	var ds []v1.Descriptor
	for _, n := range names {
		d := b.desc
		d.Annotations = b.annotations(n)
		ds = append(ds, d)
	}
	return ds
}

// annotations are those of an entry of index.json: when the image was made, its short name, and the full one that containerd reads.
func (b *bundle) annotations(name string) map[string]string {
	a := map[string]string{}
	if !b.created.IsZero() {
		a[annotationCreated] = b.created.UTC().Format(time.RFC3339)
	}
	if name == "" {
		return a
	}
	a[annotationRefName] = name
	if r, err := ParseRef(name); err == nil && strings.ContainsAny(name, "/:") {
		a[annotationImageName], a[annotationRefName] = name, r.Tag
	}
	return a
}

// index is index.json.
func index(ds []v1.Descriptor) ([]byte, error) {
	raw, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: ds})
	if err != nil {
		return nil, fmt.Errorf("writing index: %w", err)
	}
	return raw, nil
}

// dockerManifest is manifest.json, which docker load and podman read. It points to the blobs of the layout.
func (b *bundle) dockerManifest() ([]byte, error) {
	e := dockerEntry{Config: blobPath(b.config), RepoTags: []string{}, Layers: []string{}}
	for _, n := range b.names {
		r, err := ParseRef(n)
		if err != nil {
			return nil, err
		}
		e.RepoTags = append(e.RepoTags, r.Familiar())
	}
	for _, h := range b.layers {
		e.Layers = append(e.Layers, blobPath(h))
	}
	raw, err := json.Marshal([]dockerEntry{e})
	if err != nil {
		return nil, fmt.Errorf("writing manifest.json: %w", err)
	}
	return raw, nil
}
