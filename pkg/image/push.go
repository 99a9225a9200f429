package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// maxRestarts is how often the upload of one blob may start from its first byte again.
const maxRestarts = 3

// upload is one blob on its way to a registry.
type upload struct {
	digest v1.Hash
	size   int64 // -1: not known yet
	open   func() (io.ReadCloser, error)
	from   string                  // a repository of the same registry that has it, or empty
	later  func() (v1.Hash, error) // waits for the digest, where it is not known yet
}

// push writes an image to a registry: blobs side by side, each as soon as it is ready, then the manifest.
func push(ctx context.Context, r Ref, img v1.Image, o WriteOptions) (v1.Hash, error) {
	if r.Digest != "" && r.Tag != "" {
		return v1.Hash{}, &RefError{r.String(), "an image is written to a tag or to a digest, not to both"}
	}
	layers, err := img.Layers()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("listing layers: %w", err)
	}
	c, err := newPusher(ctx, r, layers, o)
	if err != nil {
		return v1.Hash{}, err
	}
	if h, ok, err := c.holds(ctx, img); err != nil || ok {
		return h, err
	}
	return c.write(ctx, img, layers, o.jobs())
}

// write sends what the repository lacks of an image, and then its manifest.
func (c *client) write(ctx context.Context, img v1.Image, layers []v1.Layer, jobs int) (v1.Hash, error) {
	if err := c.blobs(ctx, img, layers, jobs, true); err != nil {
		return v1.Hash{}, err
	}
	h, err := c.put(ctx, img)
	if !lacksBlobs(err) {
		return h, err
	}
	// The registry said that it has a blob, and now it has not: send all of them.
	if err := c.blobs(ctx, img, layers, jobs, false); err != nil {
		return v1.Hash{}, err
	}
	return c.put(ctx, img)
}

// holds says whether the reference stands for img already: a registry that has a manifest has what the manifest names.
// One that refuses to say gets the image.
func (c *client) holds(ctx context.Context, img v1.Image) (v1.Hash, bool, error) {
	h, err := img.Digest()
	if err != nil {
		return v1.Hash{}, false, fmt.Errorf("making manifest: %w", err)
	}
	resp, err := c.do(ctx, http.MethodHead, c.url("manifests", c.ref.identifier()), http.Header{"Accept": {strings.Join(acceptable, ", ")}},
		http.StatusOK, http.StatusNotFound, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed)
	if err != nil {
		return v1.Hash{}, false, err
	}
	resp.Body.Close()
	return h, resp.StatusCode == http.StatusOK && resp.Header.Get("Docker-Content-Digest") == h.String(), nil
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

// blobs uploads layers and config. With trust, what the registry says it has is not sent.
func (c *client) blobs(ctx context.Context, img v1.Image, layers []v1.Layer, jobs int, trust bool) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	seen := map[v1.Hash]bool{}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return errors.Join(fmt.Errorf("making layer: %w", err), g.Wait())
		}
		if !seen[h] {
			seen[h] = true
			g.Go(func() error { return c.layer(gctx, l, trust) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.config(ctx, img, trust)
}

func (c *client) config(ctx context.Context, img v1.Image, trust bool) error {
	raw, err := img.RawConfigFile()
	if err != nil {
		return fmt.Errorf("making config: %w", err)
	}
	h, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("hashing config: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	return c.upload(ctx, upload{digest: h, size: size, open: open}, trust)
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
	return c.upload(ctx, upload{digest: h, size: size, open: l.Compressed, from: mountable(l, c.ref)}, trust)
}

// upload brings one blob into the repository, and starts over when the registry loses the upload.
func (c *client) upload(ctx context.Context, u upload, trust bool) error {
	c.meter.add(0, u.size)
	for attempt := 0; ; attempt++ {
		if trust || attempt > 0 {
			ok, err := c.exists(ctx, u.digest)
			if err != nil {
				return err
			}
			if ok {
				c.meter.add(u.size, 0)
				return nil
			}
		}
		err := c.uploadOnce(ctx, u)
		if err == nil || attempt == maxRestarts || !restartable(err) || ctx.Err() != nil {
			return err
		}
		if err := c.sleep(ctx, attempt, nil); err != nil {
			return err
		}
	}
}

// restartable tells failures of an upload that a new one may not have.
func restartable(err error) bool {
	var status *transport.Error
	if !errors.As(err, &status) {
		return passingError(err)
	}
	switch status.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable, http.StatusTooManyRequests:
		// All but the last: the session or its token is gone. A wrong name fails so too, but then at the start.
		return status.Request == nil || status.Request.Method != http.MethodPost
	}
	return status.StatusCode >= 500
}

// uploadOnce mounts the blob, or sends it in one request and commits it.
func (c *client) uploadOnce(ctx context.Context, u upload) error {
	location, err := c.start(ctx, u)
	if err != nil {
		return err
	}
	if location == nil {
		c.meter.add(u.size, 0)
		return nil
	}
	if location, err = c.patch(ctx, u, location); err != nil {
		return err
	}
	if u.later != nil {
		if u.digest, err = u.later(); err != nil {
			return err
		}
	}
	q := location.Query()
	q.Set("digest", u.digest.String())
	location.RawQuery = q.Encode()
	resp, err := c.do(once(ctx), http.MethodPut, location, http.Header{"Content-Type": {"application/octet-stream"}},
		http.StatusCreated, http.StatusNoContent)
	if err != nil {
		c.meter.add(-max(u.size, 0), 0)
		return err
	}
	resp.Body.Close()
	return nil
}

// start opens an upload and returns where it goes. Nil means that the blob was mounted, and nothing is left to do.
func (c *client) start(ctx context.Context, u upload) (*url.URL, error) {
	to := c.url("blobs", "uploads/")
	if u.from != "" {
		to.RawQuery = url.Values{"mount": {u.digest.String()}, "from": {u.from}}.Encode()
	}
	resp, err := c.do(ctx, http.MethodPost, to, nil, http.StatusCreated, http.StatusAccepted)
	if err != nil && u.from != "" && ctx.Err() == nil {
		// Some registries answer a mount that they do not allow with an error instead of an upload.
		u.from = ""
		return c.start(ctx, u)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return nil, nil
	}
	return next(resp)
}

// patch sends the bytes.
func (c *client) patch(ctx context.Context, u upload, to *url.URL) (*url.URL, error) {
	var last *metered
	body := func() (io.ReadCloser, error) {
		if last != nil {
			last.undo()
		}
		rc, err := u.open()
		if err != nil {
			return nil, fmt.Errorf("opening layer %s: %w", u.digest, err)
		}
		last = &metered{ReadCloser: rc, m: c.meter, grows: u.size < 0}
		return last, nil
	}
	// The body is opened by GetBody for each try; this first one only tells net/http that there is one.
	req, err := http.NewRequestWithContext(once(ctx), http.MethodPatch, to.String(), io.NopCloser(strings.NewReader("")))
	if err != nil {
		return nil, fmt.Errorf("making an upload to %s: %w", to.Redacted(), err)
	}
	req.GetBody = body
	req.ContentLength = u.size
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.send(req, http.StatusAccepted, http.StatusNoContent, http.StatusCreated)
	if err != nil {
		if last != nil {
			last.undo()
		}
		return nil, err
	}
	defer resp.Body.Close()
	return next(resp)
}

// next reads where an upload goes on. Another host is fine: it gets no credentials, and guard looks at it.
func next(resp *http.Response) (*url.URL, error) {
	location := resp.Header.Get("Location")
	u, err := resp.Request.URL.Parse(location)
	if err != nil || location == "" {
		return nil, fmt.Errorf("reading where to upload: the registry gave no usable Location (%q)", location)
	}
	return u, nil
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
	resp, err := c.send(req, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	resp.Body.Close()
	stored := resp.Header.Get("Docker-Content-Digest")
	if stored == "" {
		got, err := c.digest(ctx, h.String())
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

// lacksBlobs says that a manifest was refused because a blob of it is not there.
func lacksBlobs(err error) bool {
	var status *transport.Error
	if !errors.As(err, &status) {
		return false
	}
	for _, d := range status.Errors {
		if d.Code == transport.ManifestBlobUnknownErrorCode || d.Code == transport.BlobUnknownErrorCode {
			return true
		}
	}
	return false
}
