// This file decides whether a document is a manifest, an index or neither, before anything in it is believed.

package image

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/hint"
)

// rawManifest is a manifest or an index as it was read, and what is known of it.
type rawManifest struct {
	raw  []byte
	desc v1.Descriptor
}

// newManifest is a manifest whose bytes are in memory.
func newManifest(raw []byte, mt types.MediaType) rawManifest {
	h, size := digestOf(raw)
	return rawManifest{raw, v1.Descriptor{Digest: h, Size: size, MediaType: mt}}
}

// manifestOf is the manifest of an image, which may be made only now.
func manifestOf(img v1.Image) (rawManifest, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return rawManifest{}, fmt.Errorf("making manifest: %w", err)
	}
	mt, err := img.MediaType()
	if err != nil {
		return rawManifest{}, fmt.Errorf("making manifest: %w", err)
	}
	return newManifest(raw, mt), nil
}

// document has the fields by which manifests and indexes of all kinds can be distinguished.
type document struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	Manifests     json.RawMessage `json:"manifests"`
	Layers        json.RawMessage `json:"layers"`
	Config        *v1.Descriptor  `json:"config"`
}

// classify says what raw is: the media type that all later code may rely on. The media type of the answer and of the document must
// agree, and no document may be read as both an index and a manifest (GHSA-qv35-3gw6-8q4j and its kin).
func classify(ref string, raw []byte, announced types.MediaType) (types.MediaType, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", hint.Errorf("check that the host is a registry", "%s: its manifest is no JSON: %v", ref, err)
	}
	mt := doc.MediaType
	switch {
	case doc.SchemaVersion == 1 || mt.IsSchema1() || announced.IsSchema1():
		return "", hint.Errorf("push it again with a current tool", `%s: it is in the old format "schema 1", which is not supported`, ref)
	case doc.Manifests != nil && (doc.Layers != nil || doc.Config != nil):
		return "", hint.Errorf("do not trust this image", "%s: its manifest claims to be an index and an image at once", ref)
	case mt != "" && isManifest(announced) && announced != mt:
		return "", hint.Errorf("do not trust this image", "%s: its manifest is announced as %s and calls itself %s", ref, announced, mt)
	case mt == "" && isManifest(announced):
		mt = announced
	case mt == "" && doc.Manifests != nil:
		mt = types.OCIImageIndex
	case mt == "":
		mt = types.OCIManifestSchema1
	}
	if mt.IsIndex() != (doc.Manifests != nil) || !isManifest(mt) {
		return "", hint.Errorf(noRemedy, "%s: its manifest is no image (%s)", ref, mt)
	}
	return mt, checkConfig(ref, doc)
}

// isManifest says whether a media type is one that can be opened: of an image, or of an index.
func isManifest(mt types.MediaType) bool { return mt.IsImage() || mt.IsIndex() }

// checkConfig refuses artifacts: they have the form of images, and hold charts, signatures and models.
func checkConfig(ref string, doc document) error {
	if doc.Manifests != nil {
		return nil
	}
	if doc.Config == nil {
		return hint.Errorf(noRemedy, "%s: its manifest has no config", ref)
	}
	switch mt := doc.Config.MediaType; {
	case mt.IsConfig(), mt == "", mt == "application/json", mt == "application/octet-stream":
		return nil
	default:
		return hint.Errorf(noRemedy, "%s: it is an artifact (%s), not an image", ref, mt)
	}
}
