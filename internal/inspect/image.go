// This file owns the document of an image.

package inspect

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is the document.
type Image struct {
	ID                    string `json:"Id"`
	RepoTags, RepoDigests []string
	Created               string
	Author                string `json:",omitempty"`
	Architecture          string
	Variant               string `json:",omitempty"`
	Os                    string
	Size                  int64
	Config                v1.Config
	RootFS                RootFS
}

// RootFS lists the layers, by what is in them.
type RootFS struct {
	Type   string
	Layers []string
}

// OfImage words an image; size is what its layers take in a registry.
func OfImage(img v1.Image, tags, digests []string) (d Image, err error) {
	id, err := img.ConfigName()
	if err != nil {
		return d, err
	}
	f, err := img.ConfigFile()
	if err != nil {
		return d, err
	}
	m, err := img.Manifest()
	if err != nil {
		return d, err
	}
	d = Image{ID: id.String(), RepoTags: tags, RepoDigests: digests, Created: f.Created.UTC().Format(time.RFC3339Nano), Author: f.Author, Architecture: f.Architecture,
		Variant: f.Variant, Os: f.OS, Config: f.Config, RootFS: RootFS{Type: "layers"}}
	for _, l := range m.Layers {
		d.Size += l.Size
	}
	for _, l := range f.RootFS.DiffIDs {
		d.RootFS.Layers = append(d.RootFS.Layers, l.String())
	}
	return d, nil
}
