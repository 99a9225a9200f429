// This file reads a blob from a registry, and goes on where the connection broke.

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// resuming reads a blob from a registry, and goes on where it was when the connection breaks. It gives up after as many breaks in
// a row as a request has retries; one byte that comes starts the count again. What it hands on is not verified yet: a registry
// may have changed the blob between two connections.
type resuming struct {
	ctx  context.Context
	c    *client // It is that of the mirror first, and that of the hub when the mirror fails.
	d    v1.Descriptor
	body io.ReadCloser // It is nil before the first connection, and after one that broke.
	off  int64         // So many bytes have been handed on.
	cuts int           // It counts since the last byte that came.
	all  bool          // The registry does not send parts, so all bytes are asked for again.
}

// blob implements place. What it returns is verified at EOF.
func (c *client) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	r := &resuming{ctx: wire.Streamed(ctx), c: c, d: d}
	for err := r.open(); err != nil; err = r.open() {
		if !r.elsewhere() {
			return nil, err
		}
	}
	c.meter.add(0, d.Size)
	return verified(&metered{ReadCloser: r, m: c.meter}, fmt.Sprintf("%s: blob %s", c.ref.Name(), d.Digest), d), nil
}

// open asks for the bytes from off on. A registry that ignores Range, or refuses it, sends all of them again.
func (r *resuming) open() error {
	resp, err := r.ask()
	if err != nil {
		return err
	}
	from := int64(0)
	if resp.StatusCode == http.StatusPartialContent {
		from = r.off
	}
	body, err := r.bytesOf(resp, from)
	if err == nil {
		if _, err = io.CopyN(io.Discard, body, r.off-from); err != nil {
			err = wire.Cut(fmt.Errorf("reading blob %s again: %w", r.d.Digest, err))
		}
	}
	if err != nil {
		resp.Body.Close()
		return err
	}
	r.body = body
	return nil
}

// ask sends the request, and once more for all bytes where the answer is not the part that is wanted.
func (r *resuming) ask() (*http.Response, error) {
	header := wire.Plain()
	part := r.off > 0 && !r.all
	if part {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.off, r.d.Size-1))
	}
	resp, err := r.c.do(r.ctx, request{method: http.MethodGet, to: r.c.url("blobs", r.d.Digest.String()), header: header}, http.StatusOK, http.StatusPartialContent)
	if !part || err != nil && wire.StatusOf(err) == 0 || err == nil && r.isPart(resp) {
		return resp, err
	}
	if err == nil {
		resp.Body.Close()
	}
	r.all = true
	return r.ask()
}

// isPart says whether an answer to a request for a part is of use: the part from off on, or everything.
func (r *resuming) isPart(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK ||
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", r.off)) && !wire.IsEncoded(resp)
}

// bytesOf compares the answer's frame with the descriptor before anything is read. An answer of the blob's own size is the blob,
// whatever its Content-Encoding says: some servers name that of the file.
func (r *resuming) bytesOf(resp *http.Response, from int64) (io.ReadCloser, error) {
	got := resp.ContentLength
	if wire.IsEncoded(resp) && got != r.d.Size-from {
		r.all = true
		return wire.Decoded(resp)
	}
	if got >= 0 && got != r.d.Size-from {
		what := fmt.Sprintf("%s: blob %s", r.c.ref.Name(), r.d.Digest)
		return nil, &DigestError{what, fmt.Sprintf("%d bytes", r.d.Size-from), fmt.Sprint(got)}
	}
	return resp.Body, nil
}

// Read implements io.Reader.
func (r *resuming) Read(p []byte) (int, error) {
	for {
		if r.off >= r.d.Size {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, err := r.next(p)
		r.off += int64(n)
		if n > 0 {
			r.cuts = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if err := r.pause(err); err != nil {
			return 0, err
		}
	}
}

// next reads from the connection, and opens one where there is none.
func (r *resuming) next(p []byte) (int, error) {
	if r.body == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.body.Read(p)
	return n, wire.Cut(err)
}

// pause drops the broken connection and waits, or gives the error up to the caller. A wrong answer is no cut.
func (r *resuming) pause(err error) error {
	r.Close()
	r.body = nil
	var hinted interface{ Hint() string }
	if !wire.Passing(err) || r.cuts >= wire.MaxRetries || r.ctx.Err() != nil {
		if r.elsewhere() {
			return nil
		}
		if errors.As(err, &hinted) {
			return err
		}
		return fmt.Errorf("reading blob %s after %d of %d bytes: %w", r.d.Digest, r.off, r.d.Size, r.c.typed(err))
	}
	r.cuts++
	return r.c.patience.Wait(r.ctx, r.cuts-1, nil)
}

// elsewhere goes on at the hub, where a mirror of it fails.
func (r *resuming) elsewhere() bool {
	if r.c.origin == nil || r.ctx.Err() != nil {
		return false
	}
	origin, err := r.c.origin(r.ctx)
	if err != nil {
		return false
	}
	r.c, r.cuts, r.all = origin, 0, false
	return true
}

// Close implements io.Closer.
func (r *resuming) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
