package main

import (
	"bytes"
	"context"
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
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache"
)

// Cache mounts travel as an image: its first layer is a catalog of files, each other one the bytes of one large file or
// of many small ones. Every push makes an image of its own, which has all that the images before it had; then it removes
// those. So runners that push at once lose nothing: the next push merges what they made.
const (
	mountsPrefix  = "gbuild-mounts-"
	catalogType   = types.MediaType("application/vnd.gbuild.cache.catalog.v1+json")
	packType      = types.MediaType("application/vnd.gbuild.cache.pack.v1")
	maxCatalog    = 256 << 20
	mountsRefresh = 24 * time.Hour // how exact the last use of a file is
)

// travel is what gbuild cache push and pull, and the flags of gbuild build, are told.
type travel struct {
	ref       string
	scope     string // whose cache mounts
	ids       []string
	downloads bool
	keep      time.Duration
}

func newCachePushCommand(a *app) *cobra.Command {
	t, scope := &travel{}, ""
	c := &cobra.Command{
		Use: "push REF [ID...]", Short: "Write cache mounts to a registry or to oci:DIR, for other machines", Args: cobra.MinimumNArgs(1),
		Long: `Write what cache mounts have, and the place does not, to a registry or to oci:DIR. By default only what was made here
leaves: wheels that pip built, ccache. --downloads adds what could be fetched again: pip's pages and files, .deb packages.
Those of the project leave that the working directory belongs to, or of --cache-scope; only the same scope takes them.`,
		Example: "  gbuild cache push registry.example/me/mounts\n  gbuild cache push --downloads oci:.gbuild/mounts /root/.cache/pip",
		RunE: func(c *cobra.Command, args []string) error {
			t.ref, t.ids, t.scope = args[0], args[1:], a.scopeOf(scope, ".")
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return a.reportTravel(a.pushMounts(ctx, t)) })
		},
	}
	c.Flags().StringVar(&scope, "cache-scope", "", "trust scope whose cache mounts leave, instead of the project")
	c.Flags().BoolVar(&t.downloads, "downloads", false, "also what can be fetched again")
	c.Flags().DurationVar(&t.keep, "keep", 30*24*time.Hour, "forget files that no machine has had in this time")
	a.registries.addInsecure(c.Flags())
	return c
}

func newCachePullCommand(a *app) *cobra.Command {
	t, scope := &travel{}, ""
	c := &cobra.Command{
		Use: "pull REF [ID...]", Short: "Take cache mounts that other machines wrote", Args: cobra.MinimumNArgs(1),
		Long: `Take the files of cache mounts that gbuild cache push wrote to REF and that are not here. Files that are here stay. Those of the
project are taken that the working directory belongs to, or of --cache-scope.`,
		Example: "  gbuild cache pull registry.example/me/mounts\n  gbuild cache pull oci:.gbuild/mounts /root/.cache/pip",
		RunE: func(c *cobra.Command, args []string) error {
			t.ref, t.ids, t.scope = args[0], args[1:], a.scopeOf(scope, ".")
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return a.reportTravel(a.pullMounts(ctx, t)) })
		},
	}
	c.Flags().StringVar(&scope, "cache-scope", "", "trust scope that takes them, instead of the project")
	a.registries.addInsecure(c.Flags())
	return c
}

func (a *app) reportTravel(text string, err error) error {
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, text)
	}
	return err
}

// takeMounts brings cache mounts here before a build runs steps. A place that fails costs a line.
func (a *app) takeMounts(ctx context.Context, o *buildOptions, show *display) {
	for _, s := range o.mountsFrom {
		sayTravel(show, func(t *travel) (string, error) { return a.pullMounts(ctx, t) }, s, a.scopeOf(o.cacheScope, o.context))
	}
}

// giveMounts writes what the steps of a build added to cache mounts.
func (a *app) giveMounts(ctx context.Context, o *buildOptions, show *display) {
	for _, s := range o.mountsTo {
		sayTravel(show, func(t *travel) (string, error) { return a.pushMounts(ctx, t) }, s, a.scopeOf(o.cacheScope, o.context))
	}
}

func sayTravel(show *display, move func(*travel) (string, error), flag, scope string) {
	t, err := parseTravel(flag)
	text := ""
	if err == nil {
		t.scope = scope
		text, err = move(t)
	}
	if err != nil {
		text = fmt.Sprintf("cache mounts: %v; the build goes on without", err)
	}
	show.notice(text)
}

// parseTravel reads --cache-mounts-from and --cache-mounts-to.
func parseTravel(s string) (*travel, error) {
	t := &travel{ref: s, keep: 30 * 24 * time.Hour}
	if !strings.HasPrefix(s, "ref=") {
		return t, nil
	}
	fields, err := csvFields(s)
	if err != nil {
		return nil, err
	}
	t.ref, t.downloads = fields["ref"], truthy(fields["downloads"])
	delete(fields, "ref")
	delete(fields, "downloads")
	for key := range fields {
		return nil, usagef("--cache-mounts-to %s: unknown key %q", s, key)
	}
	return t, nil
}

// openMounts names the place of cache mounts.
func (a *app) openMounts(t *travel) (*image.Collection, error) {
	ref, err := image.ParseRef(t.ref)
	if err != nil {
		return nil, usageError{err}
	}
	images, err := image.NewCollection(ref, a.registries.options())
	if err != nil {
		return nil, usageError{err}
	}
	return images, nil
}

// mounts is all that a place has.
type mounts struct {
	images  *image.Collection
	tags    []string
	catalog pipcache.Catalog
	blobs   map[v1.Hash]v1.Layer
}

func readMounts(ctx context.Context, images *image.Collection) (*mounts, error) {
	tags, err := images.Tags(ctx)
	if err != nil {
		return nil, err
	}
	m := &mounts{images: images, blobs: map[v1.Hash]v1.Layer{}}
	for _, tag := range tags {
		if !strings.HasPrefix(tag, mountsPrefix) {
			continue
		}
		if err := m.read(ctx, tag); err != nil {
			return nil, fmt.Errorf("reading cache mounts %s of %s: %w", tag, images, err)
		}
		m.tags = append(m.tags, tag)
	}
	return m, nil
}

func (m *mounts) read(ctx context.Context, tag string) error {
	img, err := m.images.Open(ctx, tag)
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
	catalog, err := pipcache.ParseCatalog(raw)
	if err != nil {
		return err
	}
	m.catalog.Merge(catalog)
	for _, l := range all[1:] {
		h, err := l.Digest()
		if err != nil {
			return err
		}
		m.blobs[h] = l
	}
	return nil
}

func readLayer(l v1.Layer) ([]byte, error) {
	rc, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, maxCatalog+1))
	if err == nil && len(raw) > maxCatalog {
		err = fmt.Errorf("its catalog is larger than %s", units.BytesSize(maxCatalog))
	}
	return raw, err
}

// openTravel reads what a place has, and opens the caches of this machine.
func (a *app) openTravel(ctx context.Context, t *travel) (*mounts, *pipcache.Caches, error) {
	images, err := a.openMounts(t)
	if err != nil {
		return nil, nil, err
	}
	m, err := readMounts(ctx, images)
	if err != nil {
		return nil, nil, err
	}
	caches, err := a.openCaches()
	return m, caches, err
}

func (a *app) pullMounts(ctx context.Context, t *travel) (string, error) {
	m, caches, err := a.openTravel(ctx, t)
	if err != nil {
		return "", err
	}
	arrived, err := caches.Import(ctx, &m.catalog, t.scope, t.ids, func(h v1.Hash) (io.ReadCloser, error) {
		l := m.blobs[h]
		if l == nil {
			return nil, fmt.Errorf("%s is not there", h)
		}
		return l.Compressed()
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("cache mounts: %s of files (%d) came from %s", units.HumanSizeWithPrecision(float64(arrived.Bytes), 3), arrived.Files, m.images), nil
}

func (a *app) pushMounts(ctx context.Context, t *travel) (string, error) {
	m, caches, err := a.openTravel(ctx, t)
	if err != nil {
		return "", err
	}
	stale := m.catalog.Stale(time.Now().Add(-mountsRefresh))
	packs, err := caches.Export(ctx, &m.catalog, pipcache.ExportOptions{Trust: t.scope, IDs: t.ids, Downloads: t.downloads})
	if err != nil {
		return "", err
	}
	gone := m.catalog.Forget(time.Now().Add(-t.keep))
	if len(packs) == 0 && gone == 0 && len(m.tags) < 2 && !stale {
		return fmt.Sprintf("cache mounts: %s has everything", m.images), nil
	}
	var size int64
	for _, p := range packs {
		size += p.Size
		m.blobs[p.Digest] = &blobLayer{digest: p.Digest, size: p.Size, mediaType: packType, open: p.Open}
	}
	if err := m.write(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("cache mounts: %s of blobs (%d) went to %s", units.HumanSizeWithPrecision(float64(size), 3), len(packs), m.images), nil
}

// write makes one image of everything, and removes those that it replaces.
func (m *mounts) write(ctx context.Context) error {
	raw, err := m.catalog.Encode()
	if err != nil {
		return err
	}
	img, err := m.image(raw)
	if err != nil {
		return err
	}
	if err := m.images.Write(ctx, mountsPrefix+randomID(), img); err != nil {
		return err
	}
	for _, tag := range m.tags {
		// A registry that removes nothing is left with more to read, and nothing is lost.
		_ = m.images.Remove(ctx, tag)
	}
	return nil
}

func (m *mounts) image(catalog []byte) (v1.Image, error) {
	sum := sha256.Sum256(catalog)
	first := &blobLayer{digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, size: int64(len(catalog)), mediaType: catalogType,
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(catalog)), nil }}
	adds := []mutate.Addendum{{Layer: first, MediaType: catalogType}}
	for _, h := range m.catalog.Blobs() {
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
