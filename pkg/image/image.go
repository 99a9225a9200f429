// This file has the verbs of the package, and sends each to the kind of place that a Ref names.

package image

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Open finds an image. Of an index it takes the image for o.Platform. Manifest and config are read and verified now,
// layers when they are read; ctx must live as long as the image is used. Its layers have a method Source() string:
// the registry and repository that they are in, or "" for those of a file.
func Open(ctx context.Context, r Ref, o Options) (v1.Image, error) {
	switch r.Kind {
	case KindRegistry:
		return openRegistry(ctx, r, o)
	case KindOCI, KindOCIArchive:
		return openLayout(ctx, r, o)
	case KindDockerArchive:
		return openDocker(ctx, r, o)
	}
	return nil, badRef(r.String(), "it names no image")
}

// Digest says what a name stands for now: the digest of the manifest, or of the index where there is one. It reads no
// more than that. A reference that has a digest already is not looked up.
func Digest(ctx context.Context, r Ref, o Options) (v1.Hash, error) {
	if r.Digest != "" {
		return v1.NewHash(r.Digest)
	}
	if r.Kind != KindRegistry {
		return placeDigest(ctx, r, o)
	}
	var h v1.Hash
	err := eachHost(ctx, r, o, func(c *client) (err error) {
		h, err = c.digest(ctx, r.identifier())
		return err
	})
	return h, err
}

// Write puts an image to a place and returns the digest of its manifest. A tag of a registry, and a name in a layout, then
// stand for this image; an archive is replaced whole. What is there already is not sent, or written, again.
func Write(ctx context.Context, r Ref, img v1.Image, o WriteOptions) (v1.Hash, error) {
	switch r.Kind {
	case KindRegistry:
		return pushImage(ctx, r, img, o)
	case KindOCI:
		return writeLayout(ctx, r, img, o)
	case KindOCIArchive, KindDockerArchive:
		return writeArchive(ctx, r, img, o)
	}
	return v1.Hash{}, badRef(r.String(), "it names no image")
}

// Layer is one layer of a registry: source is what its Source method said when it was seen, d its descriptor.
func Layer(ctx context.Context, source string, d v1.Descriptor, o Options) (v1.Layer, error) {
	r, err := ParseRef(source + "@" + d.Digest.String())
	if err != nil {
		return nil, err
	}
	if r.Kind != KindRegistry {
		return nil, badRef(source, "it is no repository of a registry")
	}
	if o.isMirror(r.Host) {
		o = o.asMirror()
	}
	c, err := newClient(ctx, login{ref: r, options: o, action: transport.PullScope})
	if err != nil {
		return nil, err
	}
	return newLayer(&placedBlob{ctx: ctx, place: c, desc: d})
}

// openRegistry opens an image of a registry, or of a mirror of it.
func openRegistry(ctx context.Context, r Ref, o Options) (v1.Image, error) {
	var img v1.Image
	err := eachHost(ctx, r, o, func(c *client) error {
		m, err := c.get(ctx, r.identifier())
		if err != nil {
			return err
		}
		img, err = opening{c, o.platform()}.image(ctx, m, indexDepth)
		return err
	})
	return img, err
}

// placeDigest is Digest for layouts and archives.
func placeDigest(ctx context.Context, r Ref, o Options) (v1.Hash, error) {
	if r.Kind == KindDockerArchive {
		img, err := openDocker(ctx, r, o)
		if err != nil {
			return v1.Hash{}, err
		}
		return img.Digest()
	}
	l, err := openTree(r)
	if err != nil {
		return v1.Hash{}, err
	}
	found, err := l.find(ctx, r)
	if err != nil {
		return v1.Hash{}, err
	}
	if len(found) == 1 {
		return found[0].Digest, nil
	}
	d, have := choose(found, o.platform())
	if d == nil {
		return v1.Hash{}, &PlatformError{r.String(), o.platform(), have}
	}
	return d.Digest, nil
}
