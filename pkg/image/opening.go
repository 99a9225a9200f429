// This file goes from a name to an image at one place, through the indexes between them.

package image

import (
	"context"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
)

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
