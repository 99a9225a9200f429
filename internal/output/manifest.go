// This file owns the manifest that an output gives the image: with annotations, or with Docker's media types.

package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/hint"
)

// remanifested is an image with another manifest of the same config and layers.
type remanifested struct {
	v1.Image
	raw       []byte
	mediaType types.MediaType
}

// The methods of v1.Image that say something of the manifest are these; the others are those of the image.
func (r *remanifested) RawManifest() ([]byte, error)        { return r.raw, nil }
func (r *remanifested) MediaType() (types.MediaType, error) { return r.mediaType, nil }
func (r *remanifested) Digest() (v1.Hash, error)            { return partial.Digest(r) }
func (r *remanifested) Size() (int64, error)                { return int64(len(r.raw)), nil }
func (r *remanifested) Manifest() (*v1.Manifest, error) {
	return v1.ParseManifest(bytes.NewReader(r.raw))
}

// reshape gives an image the annotations of the build and of the output and, where the output wants them, the media types
// of Docker's schema 2. Without either it returns the image itself.
func (out *Output) reshape(img v1.Image, common map[string]string) (v1.Image, error) {
	annotations := map[string]string{}
	maps.Copy(annotations, common)
	maps.Copy(annotations, out.annotations)
	if len(annotations) == 0 && !out.dockerTypes {
		return img, nil
	}
	raw, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if len(annotations) > 0 && m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	maps.Copy(m.Annotations, annotations)
	if out.dockerTypes {
		m.MediaType, m.Config.MediaType = types.DockerManifestSchema2, types.DockerConfigJSON
		for i := range m.Layers {
			if m.Layers[i].MediaType, err = dockerLayerType(m.Layers[i].MediaType); err != nil {
				return nil, err
			}
		}
	}
	if raw, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	return &remanifested{img, raw, m.MediaType}, nil
}

// dockerLayerType is the name that Docker's schema 2 has for a type of layer.
func dockerLayerType(t types.MediaType) (types.MediaType, error) {
	switch t {
	case types.OCILayer, types.DockerLayer:
		return types.DockerLayer, nil
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer:
		return types.DockerUncompressedLayer, nil
	case types.OCIRestrictedLayer, types.DockerForeignLayer:
		return types.DockerForeignLayer, nil
	}
	return t, hint.Errorf("leave out oci-mediatypes=false", "a layer of type %s has no name among Docker's media types", t)
}
