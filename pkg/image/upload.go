package image

import (
	"cmp"
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
		if trust && (attempt > 0 || !(u.fresh && u.small())) {
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
		if err := c.wait(ctx, attempt, err); err != nil {
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

// uploadOnce mounts the blob, or sends it and commits it. A registry takes the bytes with the request that commits them, or before
// it; one that refuses the way that is tried first gets them in the other.
func (c *client) uploadOnce(ctx context.Context, u upload) error {
	ways := []func(context.Context, upload, *url.URL) error{c.sendApart, c.sendWhole}
	if u.small() {
		ways[0], ways[1] = ways[1], ways[0]
	}
	var refused error
	for _, send := range ways {
		location, err := c.start(ctx, u)
		if errors.Is(err, errNowhere) && u.later == nil {
			return c.sendAtOnce(ctx, u)
		}
		if err != nil {
			return err
		}
		if location == nil {
			c.meter.add(u.size, 0)
			return nil
		}
		if refused = send(ctx, u, location); !refusesWay(refused) || u.size < 0 {
			return refused
		}
	}
	return refused
}

// refusesWay says that a registry did not like how it was given the bytes.
func refusesWay(err error) bool {
	switch statusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusUnsupportedMediaType, http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity, http.StatusNotImplemented:
		return true
	}
	return false
}

// sendApart sends the bytes, and commits them with a request of its own.
func (c *client) sendApart(ctx context.Context, u upload, to *url.URL) error {
	to, err := c.patch(ctx, u, to)
	if err != nil {
		return err
	}
	if u.later != nil {
		if u.digest, err = u.later(); err != nil {
			return err
		}
	}
	resp, err := c.do(once(ctx), http.MethodPut, u.end(to), http.Header{"Content-Type": {"application/octet-stream"}}, taken...)
	if err != nil {
		c.meter.add(-max(u.size, 0), 0)
		return err
	}
	return resp.Body.Close()
}

// end is where an upload is committed.
func (u upload) end(location *url.URL) *url.URL {
	to := *location
	q := to.Query()
	q.Set("digest", u.digest.String())
	to.RawQuery = q.Encode()
	return &to
}

// start opens an upload and returns where it goes. Nil means that the blob was mounted, and nothing is left to do. A registry that
// does not allow a mount may answer it with anything.
func (c *client) start(ctx context.Context, u upload) (*url.URL, error) {
	to := c.url("blobs", "uploads/")
	if u.from != "" {
		to.RawQuery = url.Values{"mount": {u.digest.String()}, "from": {u.from}}.Encode()
	}
	resp, err := c.do(ctx, http.MethodPost, to, nil, taken...)
	if err == nil {
		defer resp.Body.Close()
		if u.from != "" && resp.StatusCode == http.StatusCreated {
			return nil, nil
		}
		to, err = next(resp, c.session(resp))
	}
	if err != nil && u.from != "" && ctx.Err() == nil {
		u.from = ""
		return c.start(ctx, u)
	}
	return to, err
}

// session is where an upload goes on that has a name, and whose registry does not say where it is.
func (c *client) session(resp *http.Response) string {
	if id := resp.Header.Get("Docker-Upload-UUID"); id != "" {
		return c.url("blobs", "uploads/"+id).String()
	}
	return ""
}

// sendAtOnce opens, sends and commits with one request, which is all that is left where the registry opens uploads nowhere.
func (c *client) sendAtOnce(ctx context.Context, u upload) error {
	resp, err := c.sendBytes(ctx, http.MethodPost, u, u.end(c.url("blobs", "uploads/")), http.StatusCreated, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendWhole sends the bytes and commits them.
func (c *client) sendWhole(ctx context.Context, u upload, to *url.URL) error {
	resp, err := c.sendBytes(ctx, http.MethodPut, u, u.end(to), taken...)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// patch sends the bytes, and returns where they are committed: the same place, if the registry does not say.
func (c *client) patch(ctx context.Context, u upload, to *url.URL) (*url.URL, error) {
	resp, err := c.sendBytes(ctx, http.MethodPatch, u, to, taken...)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return next(resp, to.String())
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

// errNowhere says that a registry opened an upload and did not say where.
var errNowhere = errors.New("the registry gave no usable Location")

// next reads where an upload goes on, which is at other where the registry does not say. Another host is fine: it gets no
// credentials, and guard looks at it.
func next(resp *http.Response, other string) (*url.URL, error) {
	location := cmp.Or(resp.Header.Get("Location"), other)
	u, err := resp.Request.URL.Parse(location)
	if err != nil || location == "" {
		return nil, fmt.Errorf("reading where to upload: %w (%q)", errNowhere, location)
	}
	return u, nil
}
