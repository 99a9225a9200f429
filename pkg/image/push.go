package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// push writes an image to a registry: blobs side by side, each as soon as it is ready, then the manifest.
func push(ctx context.Context, r Ref, img v1.Image, o WriteOptions) (v1.Hash, error) {
	if r.Digest != "" && r.Tag != "" {
		return v1.Hash{}, &RefError{r.String(), "an image is written to a tag or to a digest, not to both"}
	}
	layers, err := img.Layers()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("listing layers: %w", err)
	}
	want, err := img.Digest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("making manifest: %w", err)
	}
	now, asked := o.Ahead.standing(r.identifier())
	if asked && now == want {
		return want, nil
	}
	c, err := newPusher(ctx, r, layers, o)
	if err == nil && !asked {
		now, err = c.standing(ctx, r.identifier())
	}
	if err != nil || now == want {
		return want, err
	}
	if o.Ahead != nil { // which has counted so far
		c.meter = o.Ahead.meter
		c.meter.tell(o.Report)
		defer c.meter.tell(nil)
	}
	return c.write(ctx, img, layers, o, now)
}

// write sends what the repository lacks of an image, and then its manifest. now is what the reference stands for.
func (c *client) write(ctx context.Context, img v1.Image, layers []v1.Layer, o WriteOptions, now v1.Hash) (v1.Hash, error) {
	known := func() map[v1.Hash]bool { return o.known(now) }
	if err := c.blobs(ctx, img, layers, o, known); err != nil {
		return v1.Hash{}, err
	}
	h, err := c.put(ctx, img)
	if !lacksBlobs(err) {
		return h, err
	}
	// The registry said that it has a blob, or mounted it, and now it has not: send all of them.
	if err := c.blobs(ctx, img, layers, o, nil); err != nil {
		return v1.Hash{}, err
	}
	return c.put(ctx, img)
}

// known returns what the repository has as far as this machine knows: what was sent ahead, whose end it waits for, and all
// that the manifest with the digest now refers to, which is in it.
func (o WriteOptions) known(now v1.Hash) map[v1.Hash]bool {
	all := map[v1.Hash]bool{}
	if o.Ahead != nil {
		o.Ahead.sent.Wait()
		o.Ahead.there.Range(func(h, _ any) bool {
			all[h.(v1.Hash)] = true
			return true
		})
	}
	if now == (v1.Hash{}) || o.Manifest == nil {
		return all
	}
	m, err := v1.ParseManifest(bytes.NewReader(o.Manifest(now)))
	if err != nil {
		return all
	}
	for _, l := range m.Layers {
		all[l.Digest] = len(l.URLs) == 0 // one that has URLs may never have been here
	}
	return all
}

// standing returns what a tag or digest stands for; the zero Hash where that is nothing, or the registry does not say.
func (c *client) standing(ctx context.Context, id string) (v1.Hash, error) {
	resp, err := c.head(ctx, id)
	if err != nil {
		return v1.Hash{}, unlessRefused(err)
	}
	h, err := v1.NewHash(resp.Header.Get("Docker-Content-Digest"))
	if err != nil || resp.StatusCode != http.StatusOK {
		return v1.Hash{}, nil
	}
	return h, nil
}

// newPusher logs in with the right to push, and to pull from the repositories that layers can be mounted from.
func newPusher(ctx context.Context, r Ref, layers []v1.Layer, o WriteOptions) (*client, error) {
	var sources []string
	seen := map[string]bool{}
	for _, l := range layers {
		if from := mountable(l, r); from != "" && !seen[from] {
			seen[from] = true
			sources = append(sources, from)
		}
	}
	return newClient(ctx, r, o.Options, transport.PushScope, sources...)
}

// mountable is the repository on r's registry that has the layer already, or empty.
func mountable(l v1.Layer, r Ref) string {
	var source string
	switch l := l.(type) {
	case interface{ Source() string }:
		source = l.Source()
	case *remote.MountableLayer:
		source = l.Reference.Context().Name()
	}
	from, ok := strings.CutPrefix(source, r.registryHost()+"/")
	if !ok || from == r.Repository {
		return ""
	}
	return from
}

// blobs uploads config and layers but those that are known to be there. What the registry says it has is not sent either;
// nil find: all are sent. The config leaves beside the last of what was sent ahead.
func (c *client) blobs(ctx context.Context, img v1.Image, layers []v1.Layer, o WriteOptions, find func() map[v1.Hash]bool) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(o.jobs())
	g.Go(func() error { return c.config(gctx, img, o, find != nil) })
	var known, seen = map[v1.Hash]bool{}, map[v1.Hash]bool{}
	if find != nil {
		known = find()
	}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return errors.Join(fmt.Errorf("making layer: %w", err), g.Wait())
		}
		if !seen[h] && !known[h] {
			seen[h] = true
			g.Go(func() error { return c.layer(gctx, l, find != nil) })
		}
	}
	return g.Wait()
}

func (c *client) config(ctx context.Context, img v1.Image, o WriteOptions, trust bool) error {
	raw, err := img.RawConfigFile()
	if err != nil {
		return fmt.Errorf("making config: %w", err)
	}
	h, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("hashing config: %w", err)
	}
	if trust && o.Ahead.sentBefore(h) {
		return nil
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	err = c.upload(ctx, upload{digest: h, size: size, open: open, fresh: o.Ahead != nil}, trust)
	if err == nil && o.Ahead != nil {
		o.Ahead.there.Store(h, true)
	}
	return err
}

// layer uploads a layer, unless it is one that must not be distributed.
func (c *client) layer(ctx context.Context, l v1.Layer, trust bool) error {
	mt, err := l.MediaType()
	if err != nil {
		return fmt.Errorf("making layer: %w", err)
	}
	if !mt.IsDistributable() {
		return nil
	}
	h, err := l.Digest()
	if err != nil {
		return fmt.Errorf("making layer: %w", err)
	}
	size, err := l.Size()
	if err != nil {
		return fmt.Errorf("making layer: %w", err)
	}
	u := upload{digest: h, size: size, open: l.Compressed}
	if trust {
		u.from = mountable(l, c.ref)
	}
	return c.upload(ctx, u, trust)
}

// put writes the manifest under the reference's tag or digest, and makes sure that the registry has these bytes.
func (c *client) put(ctx context.Context, img v1.Image) (v1.Hash, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("making manifest: %w", err)
	}
	mt, err := img.MediaType()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("making manifest: %w", err)
	}
	h, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return v1.Hash{}, fmt.Errorf("hashing manifest: %w", err)
	}
	if c.ref.Digest != "" && c.ref.Digest != h.String() {
		return v1.Hash{}, &DigestError{c.ref.String() + ": manifest", c.ref.Digest, h.String()}
	}
	return h, c.putManifest(ctx, raw, mt, h)
}

func (c *client) putManifest(ctx context.Context, raw []byte, mt types.MediaType, h v1.Hash) error {
	to := c.url("manifests", c.ref.identifier())
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.String(), bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("making a request for %s: %w", to.Redacted(), err)
	}
	req.Header.Set("Content-Type", string(mt))
	resp, err := c.send(req, taken...)
	if err != nil {
		return err
	}
	resp.Body.Close()
	stored := resp.Header.Get("Docker-Content-Digest")
	if stored == "" {
		got, err := c.digest(ctx, h.String())
		if statusOf(err) != 0 {
			return nil // it took the manifest, and does not let us see it
		}
		if err != nil {
			return err
		}
		stored = got.String()
	}
	if stored != h.String() {
		return &DigestError{c.ref.String() + ": manifest in the registry", h.String(), stored}
	}
	return nil
}

// taken are the answers of registries to what they have put away; the specification has 201 only.
var taken = []int{http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusNoContent}

// lacksBlobs says that a manifest was refused because a blob of it is not there, as far as the registry says why.
func lacksBlobs(err error) bool {
	var status *transport.Error
	if !errors.As(err, &status) {
		return false
	}
	for _, d := range status.Errors {
		switch d.Code {
		case transport.ManifestBlobUnknownErrorCode, transport.BlobUnknownErrorCode, transport.ManifestInvalidErrorCode:
			return true // the last is what some registries say of a layer that they lack
		}
	}
	switch status.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return len(status.Errors) == 0
	}
	return false
}
