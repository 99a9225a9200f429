package image

// What bounds the answers that hold no layer: greetings, tokens, errors, manifests and lists.

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"
)

const (
	maxErrorText = 64 << 10 // of an answer that is an error, which is cut there
	maxToken     = 64 << 10 // of the answer of a token server
	slowBrief    = 4        // stall times that a short answer may take as a whole, though no byte of it keeps one waiting
)

// brief bounds the body of an answer that is short when all is well, in bytes and in time. A longer error is cut; so is a
// greeting, of which only the header counts. The bytes of layers pass as they are: who reads them knows how many there are.
func (p patience) brief(r *http.Request, resp *http.Response) {
	b := &briefBody{ReadCloser: resp.Body, host: r.URL.Host, limit: slowBrief * p.stall}
	redirected, name := r.Response != nil, r.URL.Path
	switch {
	case resp.StatusCode >= http.StatusMultipleChoices, name == "/v2/":
		b.most, b.cut = maxErrorText, true
	case !redirected && !strings.HasPrefix(name, "/v2/"):
		b.most = maxToken
	case path.Base(path.Dir(name)) == "manifests", strings.HasSuffix(name, "/tags/list"):
		b.most = MaxManifest + 1 // at which readCapped says what it read
	default:
		return
	}
	b.until = time.Now().Add(b.limit)
	resp.Body = b
}

// briefBody is the body of an answer of which there may be so much, until then.
type briefBody struct {
	io.ReadCloser
	host       string
	most, read int64
	until      time.Time
	limit      time.Duration
	cut        bool
}

// Read implements io.Reader.
func (b *briefBody) Read(p []byte) (int, error) {
	if time.Now().After(b.until) {
		return 0, b.over(fmt.Errorf("the answer of %s took more than %s", b.host, b.limit))
	}
	if b.cut {
		p = p[:min(int64(len(p)), b.most-b.read)]
		if len(p) == 0 {
			return 0, io.EOF
		}
	}
	n, err := b.ReadCloser.Read(p)
	if b.read += int64(n); b.read > b.most {
		return n, b.over(&boundError{fmt.Errorf("the answer of %s is larger than %d KiB", b.host, b.most>>10)})
	}
	return n, err
}

func (b *briefBody) over(err error) error {
	if b.cut {
		return io.EOF
	}
	return err
}

// boundError says that an answer is too long. It is an answer: asking again would give the same, and the registry is not absent.
type boundError struct{ err error }

// Error implements error.
func (e *boundError) Error() string { return e.err.Error() }

// Unwrap returns what was too much.
func (e *boundError) Unwrap() error { return e.err }
