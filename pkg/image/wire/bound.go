// This file bounds the answers that hold no layer: greetings, tokens, errors, manifests and lists.

package wire

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"
)

// MaxDocument is the size of the largest manifest that is read, in bytes: the distribution spec asks registries to take so much.
const MaxDocument = 4 << 20

const (
	maxErrorText = 64 << 10 // An answer that is an error is cut there.
	maxToken     = 64 << 10 // The answer of a token server is refused beyond it.
	slowBrief    = 4        // A short answer may take so many stall times as a whole, even if its bytes keep coming.
)

// bound limits the body of an answer that is short when all is well, in bytes and in time. A longer error is cut; so is a
// greeting, of which only the header counts. The bytes of layers pass as they are: who reads them knows how many there are.
func bound(r *http.Request, resp *http.Response, stall time.Duration) {
	b := &briefBody{ReadCloser: resp.Body, host: r.URL.Host, limit: slowBrief * stall}
	redirected, name := r.Response != nil, r.URL.Path
	switch {
	case resp.StatusCode >= http.StatusMultipleChoices, name == "/v2/":
		b.most, b.cut = maxErrorText, true
	case !redirected && !strings.HasPrefix(name, "/v2/"):
		b.most = maxToken
	case path.Base(path.Dir(name)) == "manifests", strings.HasSuffix(name, "/tags/list"):
		b.most = MaxDocument + 1 // One byte more lets the caller say what is too large.
	default:
		return
	}
	b.until = time.Now().Add(b.limit)
	resp.Body = b
}

// briefBody is the body of an answer that is bounded.
type briefBody struct {
	io.ReadCloser
	host       string
	most, read int64
	until      time.Time
	limit      time.Duration // It is the time from the request to until, for the message.
	cut        bool          // It says that a bound is the end of the body, and no error.
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

// over is the end of a body that reached a bound: an error, or no more than its end where it is cut.
func (b *briefBody) over(err error) error {
	if b.cut {
		return io.EOF
	}
	return err
}
