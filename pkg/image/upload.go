// This file brings one blob into a repository, by whichever of the protocol's ways the registry takes.

package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// maxRestarts is how often the upload of one blob may start from its first byte again.
const maxRestarts = 3

// inOne is the size up to which a blob goes with the request that commits it. A further request, or the question whether it is
// there, would cost more than its bytes.
const inOne = 64 << 10

// upload is one blob on its way to a registry.
//
// The protocol has four ways, and registries differ in which of them they take: to mount the blob from another repository, to
// send it with the request that commits it (PUT), to send it before that (PATCH), and to do all with the request that opens the
// upload (POST). What one way does not bring, the next one tries.
type upload struct {
	to     *client
	digest v1.Hash
	size   int64 // It is -1 while it is not known.
	open   func() (io.ReadCloser, error)
	from   string                  // A repository of the same registry has the blob; or it is empty.
	later  func() (v1.Hash, error) // It waits for the digest, where that is not known yet.
	ask    bool                    // The registry is asked whether it has the blob.
	unseen bool                    // The blob was made just now, so the registry hardly has it.
}

// small says whether the blob goes in one request.
func (u upload) small() bool { return u.size >= 0 && u.size <= inOne }

// run brings the blob into the repository, and starts over when the registry loses the upload.
func (u upload) run(ctx context.Context) error {
	u.to.meter.add(0, u.size)
	for attempt := 0; ; attempt++ {
		if u.ask && (attempt > 0 || !(u.unseen && u.small())) {
			ok, err := u.to.exists(ctx, u.digest)
			if err != nil {
				return err
			}
			if ok {
				u.to.meter.add(u.size, 0)
				return nil
			}
		}
		err := u.once(ctx)
		if err == nil || attempt == maxRestarts || !restartable(err) || ctx.Err() != nil {
			return err
		}
		if err := u.to.patience.Wait(ctx, attempt, err); err != nil {
			return err
		}
	}
}

// restartable says whether an upload that failed may succeed if it is begun anew.
func restartable(err error) bool {
	var status *transport.Error
	if !errors.As(err, &status) {
		return wire.Passing(err)
	}
	switch status.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable, http.StatusTooManyRequests:
		// All but the last mean that the session or its token is gone. A wrong name fails in this way, too, but then at the start (POST).
		return status.Request == nil || status.Request.Method != http.MethodPost
	}
	return status.StatusCode >= 500
}

// once mounts the blob, or sends it and commits it. A registry takes the bytes with the request that commits them, or before
// it; one that refuses the way that is tried first gets them in the other.
func (u upload) once(ctx context.Context) error {
	ways := []func(context.Context, *url.URL) error{u.sendThenCommit, u.sendAndCommit}
	if u.small() {
		ways[0], ways[1] = ways[1], ways[0]
	}
	var refused error
	for _, way := range ways {
		location, err := u.start(ctx)
		if errors.Is(err, errNowhere) && u.later == nil {
			return u.sendAtOnce(ctx)
		}
		if err != nil {
			return err
		}
		if location == nil {
			u.to.meter.add(u.size, 0)
			return nil
		}
		if refused = way(ctx, location); !refusesWay(refused) || u.size < 0 {
			return refused
		}
	}
	return refused
}

// refusesWay says that a registry did not like how it was given the bytes.
func refusesWay(err error) bool {
	return slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusUnsupportedMediaType, http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity,
		http.StatusNotImplemented}, wire.StatusOf(err))
}

// start opens an upload and returns where it goes. Nil means that the blob was mounted, and nothing is left to do. A registry that
// does not allow a mount may answer it with anything.
func (u upload) start(ctx context.Context) (*url.URL, error) {
	to := u.to.url("blobs", "uploads/")
	if u.from != "" {
		to.RawQuery = url.Values{"mount": {u.digest.String()}, "from": {u.from}}.Encode()
	}
	resp, err := u.to.do(ctx, request{method: http.MethodPost, to: to}, accepted...)
	if err == nil {
		defer resp.Body.Close()
		if u.from != "" && resp.StatusCode == http.StatusCreated {
			return nil, nil
		}
		to, err = next(resp, u.named(resp))
	}
	if err != nil && u.from != "" && ctx.Err() == nil {
		u.from = ""
		return u.start(ctx)
	}
	return to, err
}

// named is where an upload goes on, by the name that the registry gave it. It is empty where the registry gave it none.
func (u upload) named(resp *http.Response) string {
	if id := resp.Header.Get("Docker-Upload-UUID"); id != "" {
		return u.to.url("blobs", "uploads/"+id).String()
	}
	return ""
}

// sendThenCommit sends the bytes, and commits them with a request of its own.
func (u upload) sendThenCommit(ctx context.Context, to *url.URL) error {
	to, err := u.patch(ctx, to)
	if err != nil {
		return err
	}
	if u.later != nil {
		if u.digest, err = u.later(); err != nil {
			return err
		}
	}
	commit := request{method: http.MethodPut, to: u.end(to), header: http.Header{"Content-Type": {"application/octet-stream"}}}
	err = closed(u.to.do(wire.Once(ctx), commit, accepted...))
	if err != nil {
		u.to.meter.add(-max(u.size, 0), 0)
	}
	return err
}

// sendAndCommit sends the bytes with the request that commits them.
func (u upload) sendAndCommit(ctx context.Context, to *url.URL) error {
	return closed(u.send(ctx, http.MethodPut, u.end(to), accepted...))
}

// sendAtOnce opens, sends and commits with one request, which is all that is left where the registry opens uploads nowhere.
func (u upload) sendAtOnce(ctx context.Context) error {
	return closed(u.send(ctx, http.MethodPost, u.end(u.to.url("blobs", "uploads/")), http.StatusCreated, http.StatusOK, http.StatusNoContent))
}

// end is where an upload is committed.
func (u upload) end(location *url.URL) *url.URL {
	to := *location
	q := to.Query()
	q.Set("digest", u.digest.String())
	to.RawQuery = q.Encode()
	return &to
}

// patch sends the bytes, and returns where they are committed: the same place, if the registry does not say.
func (u upload) patch(ctx context.Context, to *url.URL) (*url.URL, error) {
	resp, err := u.send(ctx, http.MethodPatch, to, accepted...)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return next(resp, to.String())
}

// send sends a request with the bytes of the blob. The caller closes the body of the answer.
func (u upload) send(ctx context.Context, method string, to *url.URL, want ...int) (*http.Response, error) {
	var last *metered
	body := func() (io.ReadCloser, error) {
		if last != nil {
			last.undo()
		}
		rc, err := u.open()
		if err != nil {
			return nil, fmt.Errorf("opening layer %s: %w", u.digest, err)
		}
		last = &metered{ReadCloser: rc, m: u.to.meter, grows: u.size < 0}
		return last, nil
	}
	// GetBody opens the body for each try; this first one only tells net/http that there is one.
	req, err := http.NewRequestWithContext(wire.Once(ctx), method, to.String(), io.NopCloser(strings.NewReader("")))
	if err != nil {
		return nil, fmt.Errorf("making an upload to %s: %w", to.Redacted(), err)
	}
	req.GetBody = body
	req.ContentLength = u.size
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := u.to.send(req, want...)
	if err != nil && last != nil {
		last.undo()
	}
	return resp, err
}

// accepted are the answers of registries to what they have put away; the specification has 201 only.
var accepted = []int{http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusNoContent}

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
