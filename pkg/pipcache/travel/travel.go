// Package travel moves cache mounts between machines by way of a registry or a directory. They travel as an image: its first
// layer is a catalog of files, each other one the bytes of one large file or of many small ones. Every push makes an image
// of its own, which has all that the images before it had; then it removes those. So machines that push at once lose
// nothing: the next push merges what they made.
//
// A catalog lists files: in which cache each is, with its metadata, and where its bytes are in which blob. A pack is such a
// blob before it is sent. Push finds the files that the catalog of a place lacks (export.go), sends them in packs, and
// writes the new catalog; Pull writes the files that are missing here (import.go).
//
// What can be fetched again does not leave unless somebody asks for it: a mirror is as near as the place, and most of pip's
// cache is such files. Files of one scope never become those of another: a catalog has the scope as a hash, and only who
// has the same scope takes them. What comes from a place is not believed: its catalog may be anybody's, and its blobs have
// the digests that the catalog says, or none of their files gets its name.
package travel

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/pkg/pipcache"
)

// The media types say what a layer is. A client that knows neither of them still copies the image.
const (
	catalogType = types.MediaType("application/vnd.gbuild.cache.catalog.v1+json")
	packType    = types.MediaType("application/vnd.gbuild.cache.pack.v1")
)

const (
	// The tags of images of cache mounts begin like this, in a repository that may have others.
	tagPrefix = "gbuild-mounts-"

	// A catalog with more bytes is refused: whoever can write to the repository could fill the memory.
	maxCatalogSize = 256 << 20

	// The last use of a file is as exact as this: not every push writes an image only to say that files were used.
	refresh = 24 * time.Hour
)

// Place keeps images under tags, as a repository of a registry does. Its text is its name in messages.
type Place interface {
	fmt.Stringer
	Tags(context.Context) ([]string, error)
	Open(ctx context.Context, tag string) (v1.Image, error)
	Write(ctx context.Context, tag string, img v1.Image) error
	Remove(ctx context.Context, tag string) error
}

// Pull takes the files that a place has and the caches have not, and says in words what came.
func Pull(ctx context.Context, place Place, caches *pipcache.Caches, o Options) (string, error) {
	m, err := read(ctx, place)
	if err != nil {
		return "", err
	}
	im := &importer{caches: caches, scope: o.Scope, ids: o.IDs, open: m.open}
	got, err := im.run(ctx, &m.catalog)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("cache mounts: %s of files (%d) came from %s", units.HumanSizeWithPrecision(float64(got.bytes), 3), got.files, m.place), nil
}

// Push writes what the caches have and a place has not, and says in words what went.
func Push(ctx context.Context, place Place, caches *pipcache.Caches, o Options) (string, error) {
	m, err := read(ctx, place)
	if err != nil {
		return "", err
	}
	stale := m.catalog.stale(time.Now().Add(-refresh))
	packs, err := export(ctx, caches, &m.catalog, o)
	if err != nil {
		return "", err
	}
	gone := m.catalog.forget(time.Now().Add(-o.Keep))
	if len(packs) == 0 && gone == 0 && len(m.tags) < 2 && !stale {
		return fmt.Sprintf("cache mounts: %s has everything", m.place), nil
	}
	var size int64
	for _, p := range packs {
		size += p.size
		m.blobs[p.digest] = &blobLayer{digest: p.digest, size: p.size, mediaType: packType, open: p.open}
	}
	if err := m.write(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("cache mounts: %s of blobs (%d) went to %s", units.HumanSizeWithPrecision(float64(size), 3), len(packs), m.place), nil
}

// mounts is all that a place has.
type mounts struct {
	place   Place
	tags    []string // These images were merged, and go when a new one has been written.
	catalog catalog
	blobs   map[v1.Hash]v1.Layer
}

// read merges what all images of a place have. Others may push meanwhile: what they push stays.
func read(ctx context.Context, place Place) (*mounts, error) {
	tags, err := place.Tags(ctx)
	if err != nil {
		return nil, err
	}
	m := &mounts{place: place, blobs: map[v1.Hash]v1.Layer{}}
	for _, tag := range tags {
		if !strings.HasPrefix(tag, tagPrefix) {
			continue
		}
		if err := m.add(ctx, tag); err != nil {
			return nil, fmt.Errorf("reading cache mounts %s of %s: %w", tag, place, err)
		}
		m.tags = append(m.tags, tag)
	}
	return m, nil
}

// add reads one image: its catalog, and where its blobs are.
func (m *mounts) add(ctx context.Context, tag string) error {
	img, err := m.place.Open(ctx, tag)
	if err != nil {
		return err
	}
	all, err := img.Layers()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("it has no catalog")
	}
	raw, err := readLayer(all[0])
	if err != nil {
		return err
	}
	found, err := parseCatalog(raw)
	if err != nil {
		return err
	}
	m.catalog.merge(found)
	for _, l := range all[1:] {
		h, err := l.Digest()
		if err != nil {
			return err
		}
		m.blobs[h] = l
	}
	return nil
}

// open reads a blob of the place.
func (m *mounts) open(h v1.Hash) (io.ReadCloser, error) {
	l := m.blobs[h]
	if l == nil {
		return nil, fmt.Errorf("%s is not there", h)
	}
	return l.Compressed()
}

// readLayer reads a catalog, which may come from anybody, so that its size has a bound.
func readLayer(l v1.Layer) ([]byte, error) {
	rc, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, maxCatalogSize+1))
	if err == nil && len(raw) > maxCatalogSize {
		err = fmt.Errorf("its catalog is larger than %s", units.BytesSize(maxCatalogSize))
	}
	return raw, err
}

// write makes one image of everything, and removes those that it replaces.
func (m *mounts) write(ctx context.Context) error {
	raw, err := m.catalog.encode()
	if err != nil {
		return err
	}
	img, err := m.image(raw)
	if err != nil {
		return err
	}
	if err := m.place.Write(ctx, tagPrefix+rand.Text(), img); err != nil {
		return err
	}
	for _, tag := range m.tags {
		// A registry that removes nothing is left with more to read, and nothing is lost.
		_ = m.place.Remove(ctx, tag)
	}
	return nil
}

// image makes the image of a catalog and all blobs that it names. A registry gets only those that it lacks.
func (m *mounts) image(raw []byte) (v1.Image, error) {
	sum := sha256.Sum256(raw)
	first := &blobLayer{digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, size: int64(len(raw)), mediaType: catalogType,
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }}
	adds := []mutate.Addendum{{Layer: first, MediaType: catalogType}}
	for _, h := range m.catalog.blobs() {
		l := m.blobs[h]
		if l == nil {
			return nil, fmt.Errorf("%s is in the catalog and not there", h)
		}
		adds = append(adds, mutate.Addendum{Layer: l, MediaType: packType})
	}
	return mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), adds...)
}

// blobLayer is bytes that are no tar, as a layer.
type blobLayer struct {
	digest    v1.Hash
	size      int64
	mediaType types.MediaType
	open      func() (io.ReadCloser, error)
}

var _ v1.Layer = (*blobLayer)(nil)

func (l *blobLayer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *blobLayer) DiffID() (v1.Hash, error)             { return l.digest, nil }
func (l *blobLayer) Size() (int64, error)                 { return l.size, nil }
func (l *blobLayer) MediaType() (types.MediaType, error)  { return l.mediaType, nil }
func (l *blobLayer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l *blobLayer) Uncompressed() (io.ReadCloser, error) { return l.open() }
