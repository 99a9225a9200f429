// This file reads what `docker save` and like tools write.

package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/hint"
)

// dockerEntry is one image in the manifest.json of a docker archive.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker is a place made from a docker archive: it gives the manifest that the archive lacks. Layers stay as they are;
// a plain tar's digest is its DiffID, so nothing has to be compressed to know it.
type docker struct {
	ref   Ref
	tree  tree
	files map[v1.Hash]string
}

// openDocker opens an image that `docker save` or a like tool wrote. Where the archive is an OCI layout as well, that is
// read, because it has the image's own manifest.
func openDocker(ctx context.Context, r Ref, o Options) (v1.Image, error) {
	t, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	if _, ok := t.at[layoutFile]; ok {
		inner := r
		inner.Kind = KindOCIArchive
		if img, err := openLayout(ctx, inner, o); err == nil {
			return img, nil
		}
	}
	d := &docker{r, t, map[v1.Hash]string{}}
	entry, err := d.find(r.Tag)
	if err != nil {
		return nil, err
	}
	raw, err := d.compose(entry)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r, err)
	}
	return newFetched(ctx, d, newManifest(raw, types.DockerManifestSchema2))
}

// find picks the image of a name, or the only one.
func (d *docker) find(tag string) (*dockerEntry, error) {
	raw, err := readFile(d.tree, "manifest.json", MaxManifest, d.ref)
	if err != nil {
		return nil, hint.Errorf(noRemedy, "%s: it is no docker archive: manifest.json is missing", d.ref)
	}
	var entries []dockerEntry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, hint.Errorf(noRemedy, "%s: its manifest.json is malformed: %v", d.ref, err)
	}
	var names []string
	for i, e := range entries {
		names = append(names, e.RepoTags...)
		if tag == "" && len(entries) == 1 || tag != "" && slices.ContainsFunc(e.RepoTags, func(have string) bool { return sameName(have, tag) }) {
			return &entries[i], nil
		}
	}
	return nil, &NotFoundError{Ref: d.ref.String(), Have: names}
}

// sameName compares two names as references, so that app and docker.io/library/app:latest are one.
func sameName(a, b string) bool {
	ar, aerr := ParseRef(a)
	br, berr := ParseRef(b)
	return a == b || aerr == nil && berr == nil && ar == br
}

// compose makes the manifest of an entry.
func (d *docker) compose(e *dockerEntry) ([]byte, error) {
	raw, err := readFile(d.tree, e.Config, maxConfig, d.ref)
	if err != nil {
		return nil, err
	}
	var config *v1.ConfigFile
	if err := json.Unmarshal(raw, &config); err != nil || config == nil || len(config.RootFS.DiffIDs) != len(e.Layers) {
		return nil, hint.Errorf("the archive is broken: save it again", "%s: its config and its layers do not fit", d.ref)
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2}
	h, size := digestOf(raw)
	d.files[h] = e.Config
	m.Config = v1.Descriptor{MediaType: types.DockerConfigJSON, Digest: h, Size: size}
	for i, file := range e.Layers {
		desc, err := d.describe(file, config.RootFS.DiffIDs[i])
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, desc)
	}
	return json.Marshal(m)
}

// compressedLayers are the media types of layers by the tool that compressed them. A docker archive says none.
var compressedLayers = map[string]types.MediaType{"gzip": types.DockerLayer, "zstd": types.OCILayerZStd}

// describe makes the descriptor of a layer file. Only a compressed one has to be read for that.
func (d *docker) describe(file string, diffID v1.Hash) (v1.Descriptor, error) {
	rc, size, err := d.tree.open(file)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer rc.Close()
	var magic [6]byte
	n, _ := io.ReadFull(rc, magic[:])
	mt, compressed := compressedLayers[compressor(magic[:n])]
	desc := v1.Descriptor{MediaType: cmp.Or(mt, types.DockerUncompressedLayer), Size: size, Digest: diffID}
	if compressed {
		if desc.Digest, _, err = v1.SHA256(io.MultiReader(bytes.NewReader(magic[:n]), rc)); err != nil {
			return desc, fmt.Errorf("hashing %s: %w", file, err)
		}
	}
	d.files[desc.Digest] = file
	return desc, nil
}

// manifest implements place; an archive has one image, and no index that would ask for another.
func (d *docker) manifest(context.Context, v1.Descriptor) ([]byte, error) {
	return nil, &NotFoundError{Ref: d.ref.String()}
}

// blob implements place.
func (d *docker) blob(_ context.Context, desc v1.Descriptor) (io.ReadCloser, error) {
	rc, _, err := d.tree.open(d.files[desc.Digest])
	if err != nil {
		return nil, err
	}
	return verified(rc, fmt.Sprintf("%s: layer %s", d.ref.Name(), desc.Digest), desc), nil
}

// String implements place.
func (d *docker) String() string { return d.ref.String() }

// source implements place. Layers of a file can be mounted from nowhere.
func (d *docker) source() string { return "" }
