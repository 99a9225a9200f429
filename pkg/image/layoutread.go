// This file reads OCI layouts, in a directory or in a tar.

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/hint"
)

// Annotations of the manifests in a layout's index: the name inside, and the full one that containerd gives.
const (
	annotationRefName   = "org.opencontainers.image.ref.name"
	annotationImageName = "io.containerd.image.name"
	annotationCreated   = "org.opencontainers.image.created"
)

// layoutFile marks an OCI layout.
const layoutFile = "oci-layout"

// layout is an OCI image layout (image-spec, image-layout.md) in a directory or a tar.
type layout struct {
	ref  Ref
	tree tree
}

// openLayout opens an image of an OCI layout, in a directory or a tar.
func openLayout(ctx context.Context, r Ref, o Options) (v1.Image, error) {
	l, err := openTree(r)
	if err != nil {
		return nil, err
	}
	found, err := l.find(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return opening{l, o.platform()}.choice(ctx, found, indexDepth)
	}
	raw, err := l.manifest(ctx, found[0])
	if err != nil {
		return nil, err
	}
	if !isManifest(found[0].MediaType) {
		found[0].MediaType = types.MediaType("")
	}
	img, err := opening{l, o.platform()}.image(ctx, rawManifest{raw, found[0]}, indexDepth)
	var platform *PlatformError
	if errors.As(err, &platform) {
		return nil, platform
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", r, err)
	}
	return img, nil
}

// openTree opens the layout that r names.
func openTree(r Ref) (*layout, error) {
	if r.Kind == KindOCI && r.Path != Stdout {
		l := &layout{r, dirTree(r.Path)}
		return l, l.check()
	}
	t, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	l := &layout{r, t}
	return l, l.check()
}

// check refuses what is no layout, and says whether there is nothing at all.
func (l *layout) check() error {
	raw, err := readFile(l.tree, layoutFile, MaxManifest, l.ref)
	if errors.Is(err, fs.ErrNotExist) {
		if _, _, err := l.tree.open("index.json"); errors.Is(err, fs.ErrNotExist) {
			return &NotFoundError{Ref: l.ref.String(), Err: fmt.Errorf("looking for an OCI layout: %w", err)}
		}
		return hint.Errorf(noRemedy, "%s: there is no OCI layout: oci-layout is missing", l.ref)
	}
	if err != nil {
		return err
	}
	var version struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(raw, &version); err != nil || !strings.HasPrefix(version.Version, "1.") {
		return hint.Errorf(noRemedy, "%s: its layout version %q is not 1", l.ref, version.Version)
	}
	return nil
}

// index reads index.json.
func (l *layout) index() (*v1.IndexManifest, error) {
	raw, err := readFile(l.tree, "index.json", MaxManifest, l.ref)
	if err != nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(strings.NewReader(string(raw)))
	if err != nil {
		return nil, hint.Errorf(noRemedy, "%s: its index.json is malformed: %v", l.ref, err)
	}
	return index, nil
}

// find returns the manifests that r can mean: at least one, each digest once. More than one is a choice of platforms.
func (l *layout) find(ctx context.Context, r Ref) ([]v1.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	if r.Digest != "" {
		return l.byDigest(ctx, index.Manifests, r.Digest, indexDepth)
	}
	var found []v1.Descriptor
	for _, d := range index.Manifests {
		known := slices.ContainsFunc(found, func(f v1.Descriptor) bool { return f.Digest == d.Digest })
		if !known && !isAttestation(d) && (r.Tag == "" || named(d, r.Tag)) {
			found = append(found, d)
		}
	}
	if len(found) == 0 || len(found) > 1 && !platforms(found) {
		return nil, l.unclear(r, index.Manifests, len(found))
	}
	return found, nil
}

// platforms says that the descriptors are one image for several platforms: under one name, or none, and each for another.
func platforms(ds []v1.Descriptor) bool {
	seen := map[string]bool{}
	for _, d := range ds {
		if d.Platform == nil || seen[d.Platform.String()] ||
			d.Annotations[annotationRefName] != ds[0].Annotations[annotationRefName] ||
			d.Annotations[annotationImageName] != ds[0].Annotations[annotationImageName] {
			return false
		}
		seen[d.Platform.String()] = true
	}
	return true
}

// unclear is the error for a name that means no image, or for the lack of one where there are several.
func (l *layout) unclear(r Ref, all []v1.Descriptor, found int) error {
	var names []string
	for _, d := range all {
		if n := d.Annotations[annotationRefName]; n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if found == 0 {
		return &NotFoundError{Ref: r.String(), Have: names}
	}
	return hint.Errorf("choose one by its name after the path: "+strings.Join(names, ", "), "%s: it holds %d images, and none is named", r, found)
}

// named compares with the short name, the full one, and the full one's tag.
func named(d v1.Descriptor, tag string) bool {
	full := d.Annotations[annotationImageName]
	if d.Annotations[annotationRefName] == tag || full == tag {
		return true
	}
	r, err := ParseRef(full)
	if err != nil {
		return false
	}
	want, err := ParseRef(tag)
	return r.Tag == tag || err == nil && want == r
}

// byDigest finds a manifest in the index or in the indexes that it lists.
func (l *layout) byDigest(ctx context.Context, ds []v1.Descriptor, digest string, depth int) ([]v1.Descriptor, error) {
	for _, d := range ds {
		if d.Digest.String() == digest {
			return []v1.Descriptor{d}, nil
		}
		if !d.MediaType.IsIndex() || depth == 0 {
			continue
		}
		raw, err := l.manifest(ctx, d)
		if err != nil {
			return nil, err
		}
		inner, err := v1.ParseIndexManifest(strings.NewReader(string(raw)))
		if err != nil {
			return nil, hint.Errorf(noRemedy, "%s: an index in it is malformed: %v", l.ref, err)
		}
		if found, err := l.byDigest(ctx, inner.Manifests, digest, depth-1); err == nil {
			return found, nil
		}
	}
	return nil, &NotFoundError{Ref: l.ref.String()}
}

// manifest implements place.
func (l *layout) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if d.Size > MaxManifest {
		return nil, hint.Errorf(noRemedy, "%s: its manifest is larger than %d MiB", l.ref, MaxManifest>>20)
	}
	rc, err := l.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return readCapped(rc, MaxManifest, l.ref.String()+": manifest")
}

// blob implements place.
func (l *layout) blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	rc, _, err := l.tree.open(blobPath(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.Errorf("the layout is incomplete: copy it again", "%s: blob %s is missing", l.ref, d.Digest)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", d.Digest, err)
	}
	return verified(rc, fmt.Sprintf("%s: blob %s", l.ref.Name(), d.Digest), d), nil
}

// blobPath is where a layout has a blob.
func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// String implements place.
func (l *layout) String() string { return l.ref.String() }

// source implements place. Layers of a file can be mounted from nowhere.
func (l *layout) source() string { return "" }
