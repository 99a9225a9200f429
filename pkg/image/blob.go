package image

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// verifier hands on bytes and proves, before it says EOF, that they are those of a descriptor.
type verifier struct {
	io.ReadCloser
	what string
	d    v1.Descriptor
	n    int64
	hash hash.Hash
}

func verified(rc io.ReadCloser, what string, d v1.Descriptor) *verifier {
	return &verifier{ReadCloser: rc, what: what, d: d, hash: hasher(d.Digest)}
}

func hasher(h v1.Hash) hash.Hash {
	if h.Algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// Checked returns the digest that the bytes have when Read says EOF.
func (v *verifier) Checked() v1.Hash { return v.d.Digest }

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.n += int64(n)
	v.hash.Write(p[:n])
	switch {
	case v.n > v.d.Size:
		return 0, &DigestError{v.what, fmt.Sprintf("%d bytes", v.d.Size), "more"}
	case err != io.EOF:
		return n, err
	case v.n < v.d.Size:
		return 0, &DigestError{v.what, fmt.Sprintf("%d bytes", v.d.Size), fmt.Sprint(v.n)}
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.d.Digest.Hex {
		return 0, &DigestError{v.what, v.d.Digest.String(), v.d.Digest.Algorithm + ":" + got}
	}
	return n, io.EOF
}

// resuming reads a blob from a registry, and goes on where it was when the connection breaks.
type resuming struct {
	ctx  context.Context
	c    *client
	d    v1.Descriptor
	body io.ReadCloser
	off  int64
	cuts int // since the last byte
}

// blob implements place. What it returns is verified at EOF.
func (c *client) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	r := &resuming{ctx: ctx, c: c, d: d}
	if err := r.open(); err != nil {
		return nil, err
	}
	c.meter.add(0, d.Size)
	return verified(&metered{ReadCloser: r, m: c.meter}, fmt.Sprintf("%s: blob %s", c.ref.Name(), d.Digest), d), nil
}

// open asks for the bytes from off on. A registry that ignores Range sends all of them again.
func (r *resuming) open() error {
	var header http.Header
	if r.off > 0 {
		header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", r.off, r.d.Size-1)}}
	}
	resp, err := r.c.do(r.ctx, http.MethodGet, r.c.url("blobs", r.d.Digest.String()), header, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return err
	}
	from := int64(0)
	if resp.StatusCode == http.StatusPartialContent {
		from = r.off
	}
	if err := r.check(resp, from); err != nil {
		resp.Body.Close()
		return err
	}
	if _, err := io.CopyN(io.Discard, resp.Body, r.off-from); err != nil {
		resp.Body.Close()
		return fmt.Errorf("reading blob %s again: %w", r.d.Digest, err)
	}
	r.body = resp.Body
	return nil
}

// check compares the answer's frame with the descriptor before anything is read.
func (r *resuming) check(resp *http.Response, from int64) error {
	what := fmt.Sprintf("%s: blob %s", r.c.ref.Name(), r.d.Digest)
	if got := resp.ContentLength; got >= 0 && got != r.d.Size-from {
		return &DigestError{what, fmt.Sprintf("%d bytes", r.d.Size-from), fmt.Sprint(got)}
	}
	if cr := resp.Header.Get("Content-Range"); from > 0 && !strings.HasPrefix(cr, fmt.Sprintf("bytes %d-", from)) {
		return &DigestError{what, fmt.Sprintf("bytes from %d on", from), cr}
	}
	return nil
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

func (r *resuming) next(p []byte) (int, error) {
	if r.body == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	return r.body.Read(p)
}

// pause drops the broken connection and waits, or gives the error up to the caller. A wrong answer is no cut.
func (r *resuming) pause(err error) error {
	r.Close()
	r.body = nil
	var hinted interface{ Hint() string }
	if !passingError(err) || r.cuts >= maxRetries || r.ctx.Err() != nil {
		if errors.As(err, &hinted) {
			return err
		}
		return fmt.Errorf("reading blob %s after %d of %d bytes: %w", r.d.Digest, r.off, r.d.Size, r.c.explain(err))
	}
	r.cuts++
	return r.c.sleep(r.ctx, r.cuts-1, nil)
}

// Close implements io.Closer.
func (r *resuming) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
