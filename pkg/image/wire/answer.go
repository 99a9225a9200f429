// This file owns the bodies of answers: what is read at once, how a broken one is told from a wrong one, what a server
// encoded without being asked to, and how the rest of one is thrown away.

package wire

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/gbuild/gbuild/internal/hint"
)

type streamedKey struct{}

// Streamed marks requests for a body that is read bit by bit, and asked for again from where it broke.
func Streamed(ctx context.Context) context.Context {
	return context.WithValue(ctx, streamedKey{}, true)
}

// whole reads a document (a manifest, a token) at once, so that a connection that breaks in it is a failure of the request, which
// is sent again. The rest of one that is too large for a document is left to its reader.
func whole(resp *http.Response) (*http.Response, error) {
	r := resp.Request
	if resp.StatusCode != http.StatusOK || r.Method != http.MethodGet || r.Context().Value(streamedKey{}) != nil {
		return resp, nil
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxDocument+1))
	if err != nil {
		resp.Body.Close()
		return nil, Cut(err)
	}
	resp.Body = &body{io.MultiReader(bytes.NewReader(raw), resp.Body), resp.Body}
	return resp, nil
}

// body reads from one thing and closes another.
type body struct {
	io.Reader
	io.Closer
}

// Plain asks for bytes as they are: encoded ones cannot be resumed, and Go would ask for gzip by itself.
func Plain() http.Header { return http.Header{"Accept-Encoding": {"identity"}} }

// IsEncoded says that a server encoded its answer although it was asked not to.
func IsEncoded(resp *http.Response) bool {
	e := resp.Header.Get("Content-Encoding")
	return e != "" && !strings.EqualFold(e, "identity")
}

// Decoded undoes the encoding of an answer.
func Decoded(resp *http.Response) (io.ReadCloser, error) {
	var r io.Reader
	var err error
	switch e := strings.ToLower(resp.Header.Get("Content-Encoding")); e {
	case "", "identity":
		return resp.Body, nil
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(resp.Body)
	case "deflate":
		r, err = zlib.NewReader(resp.Body)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(resp.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20)); err == nil {
			r = d.IOReadCloser()
		}
	default:
		return nil, hint.Errorf("the registry, or a proxy before it, must send what it has as it is",
			"%s: is sent in the encoding %q, which was not asked for", resp.Request.URL.Redacted(), e)
	}
	if err != nil {
		return nil, Cut(fmt.Errorf("decoding %s: %w", resp.Header.Get("Content-Encoding"), err))
	}
	return &body{r, resp.Body}, nil
}

// drain reads what is left of a short answer, so that its connection can serve the next request. For a longer one it is cheaper to
// make a new connection.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
