package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxRestarts is how often the upload of one blob may start from its first byte again.
const maxRestarts = 3

// inOne is up to which size a blob goes with the request that commits it. A further request, or the question whether it is
// there, costs more than the bytes.
const inOne = 64 << 10

// upload is one blob on its way to a registry.
type upload struct {
	digest v1.Hash
	size   int64 // -1: not known yet
	open   func() (io.ReadCloser, error)
	from   string                  // a repository of the same registry that has it, or empty
	later  func() (v1.Hash, error) // waits for the digest, where it is not known yet
	fresh  bool                    // it was made just now, so it is hardly there
}

// small says whether the blob goes in one request.
func (u upload) small() bool { return u.size >= 0 && u.size <= inOne }

// upload brings one blob into the repository, and starts over when the registry loses the upload.
func (c *client) upload(ctx context.Context, u upload, trust bool) error {
	c.meter.add(0, u.size)
	for attempt := 0; ; attempt++ {
		if trust && !(u.fresh && u.small()) || attempt > 0 {
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

// uploadOnce mounts the blob, or sends it and commits it.
func (c *client) uploadOnce(ctx context.Context, u upload) error {
	location, err := c.start(ctx, u)
	if err != nil {
		return err
	}
	if location == nil {
		c.meter.add(u.size, 0)
		return nil
	}
	if u.small() {
		return c.sendWhole(ctx, u, location)
	}
	if location, err = c.patch(ctx, u, location); err != nil {
		return err
	}
	if u.later != nil {
		if u.digest, err = u.later(); err != nil {
			return err
		}
	}
	resp, err := c.do(once(ctx), http.MethodPut, u.end(location), http.Header{"Content-Type": {"application/octet-stream"}},
		http.StatusCreated, http.StatusNoContent)
	if err != nil {
		c.meter.add(-max(u.size, 0), 0)
		return err
	}
	resp.Body.Close()
	return nil
}

// end is where an upload is committed.
func (u upload) end(location *url.URL) *url.URL {
	to := *location
	q := to.Query()
	q.Set("digest", u.digest.String())
	to.RawQuery = q.Encode()
	return &to
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

// sendWhole sends the bytes and commits them.
func (c *client) sendWhole(ctx context.Context, u upload, to *url.URL) error {
	resp, err := c.sendBytes(ctx, http.MethodPut, u, u.end(to), http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// patch sends the bytes, and returns where they are committed.
func (c *client) patch(ctx context.Context, u upload, to *url.URL) (*url.URL, error) {
	resp, err := c.sendBytes(ctx, http.MethodPatch, u, to, http.StatusAccepted, http.StatusNoContent, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return next(resp)
}

// sendBytes sends a request with the bytes of the blob. The caller closes the body of the answer.
func (c *client) sendBytes(ctx context.Context, method string, u upload, to *url.URL, want ...int) (*http.Response, error) {
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
	req, err := http.NewRequestWithContext(once(ctx), method, to.String(), io.NopCloser(strings.NewReader("")))
	if err != nil {
		return nil, fmt.Errorf("making an upload to %s: %w", to.Redacted(), err)
	}
	req.GetBody = body
	req.ContentLength = u.size
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.send(req, want...)
	if err != nil && last != nil {
		last.undo()
	}
	return resp, err
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
