// This file owns files that are fetched by their URL: the requests, the credentials of a host, and what is kept of an answer.
// A file is asked for again in each build, and sent again when it has changed.

package remote

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// download is a file that came from a URL; its bytes are a blob of the store.
type download struct {
	Digest  v1.Hash
	Time    time.Time // the time of Last-Modified; 1970 if the server says none
	ETag    string
	Checked string // the --checksum that was found right
}

// recordURL is the kind of the records of downloads.
const recordURL = "url"

// fetch returns the file of a URL. It is asked for again in every build; a server that knows its ETag need not send it
// again. With a checksum that the stored file has, nobody is asked.
func (o Fetcher) fetch(ctx context.Context, address, checksum string) (*download, error) {
	if d := o.Fetched.file(address + " " + checksum); d != nil && o.has(d) {
		return d, nil
	}
	name := layers.Key(sha256.Sum256([]byte(address)))
	old := o.recall(name)
	if old != nil && checksum != "" && (checksum == old.Digest.String() || checksum == old.Checked) {
		return o.Fetched.keepFile(address+" "+checksum, old), nil
	}
	d, err := o.get(ctx, address, checksum, old)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", dockerfile.Redact(address), err)
	}
	// Only a complete download is remembered, so what recall finds is a whole file.
	if data, err := json.Marshal(d); err == nil {
		if err := o.Store.Remember(recordURL, name, data); err != nil {
			return nil, err
		}
	}
	return o.Fetched.keepFile(address+" "+checksum, d), nil
}

// Digest fetches the file of a URL, and returns the digest of its bytes.
func (o Fetcher) Digest(ctx context.Context, address, checksum string) (v1.Hash, error) {
	d, err := o.fetch(ctx, address, checksum)
	if err != nil {
		return v1.Hash{}, err
	}
	return d.Digest, nil
}

// recall returns what was fetched before, if it is still stored.
func (o Fetcher) recall(name layers.Key) *download {
	data, ok := o.Store.Recall(recordURL, name)
	d := &download{}
	if !ok || json.Unmarshal(data, d) != nil || !o.has(d) {
		return nil
	}
	return d
}

// has says whether the store still has the bytes of a download.
func (o Fetcher) has(d *download) bool {
	r, _, err := o.Store.Blob(d.Digest)
	if err != nil {
		return false
	}
	r.Close()
	return true
}

// get asks the server. old is what it sent earlier: it need not be sent again while its ETag holds.
func (o Fetcher) get(ctx context.Context, address, checksum string, old *download) (*download, error) {
	sum, err := newChecksum(checksum)
	if err != nil {
		return nil, err
	}
	header := http.Header{"User-Agent": {"gbuild"}}
	// With a checksum the file itself is wanted: the one that is stored does not have it.
	if old != nil && old.ETag != "" && checksum == "" {
		header.Set("If-None-Match", old.ETag)
	}
	res, err := o.Ask(ctx, http.MethodGet, address, header)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified && old != nil {
		return old, nil
	}
	if res.StatusCode != http.StatusOK {
		return nil, BadStatus(res.StatusCode)
	}
	// The bytes go to the store while they are checked. A blob with another digest than the one asked for is garbage there, and no
	// download leads to it.
	blob, err := o.Store.PutBlob(ctx, sum.reader(res.Body), v1.Hash{})
	if err != nil {
		return nil, err
	}
	if err := sum.check(blob.Digest); err != nil {
		return nil, err
	}
	d := &download{Digest: blob.Digest, ETag: res.Header.Get("ETag"), Time: time.Unix(0, 0), Checked: checksum}
	if t, err := http.ParseTime(res.Header.Get("Last-Modified")); err == nil {
		d.Time = t
	}
	return d, nil
}

// BadStatus is the answer of a web server that is no file.
func BadStatus(code int) error {
	remedy := ""
	if code == http.StatusUnauthorized || code == http.StatusForbidden {
		remedy = "give credentials as --secret id=HTTP_AUTH_TOKEN_<host>,env=NAME or id=HTTP_AUTH_HEADER_<host>,env=NAME"
	}
	return hint.Errorf(remedy, "the server answered %d %s", code, http.StatusText(code))
}

// Ask sends a request with the credentials that there are for the server. The caller closes the body.
func (o Fetcher) Ask(ctx context.Context, method, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, WithoutAddress(err)
	}
	maps.Copy(req.Header, header)
	o.authorize(req)
	client := o.httpClient(address)
	res, err := client.Do(req)
	if err != nil {
		// The client serves one answer, so no connection may wait for another one.
		client.CloseIdleConnections()
		return nil, WithoutAddress(err)
	}
	res.Body = lastBody{res.Body, client}
	return res, nil
}

// lastBody is the body of the only answer that is wanted of a client.
type lastBody struct {
	io.ReadCloser
	client *http.Client
}

// Close implements io.Closer.
func (b lastBody) Close() error {
	defer b.client.CloseIdleConnections()
	return b.ReadCloser.Close()
}

// authorize adds the credentials that a secret has for this very host.
func (o Fetcher) authorize(req *http.Request) {
	if o.Secret == nil {
		return
	}
	// A secret for HOST:PORT is more exact than one for the host, so it is asked for first.
	for _, host := range []string{req.URL.Host, req.URL.Hostname()} {
		if header, ok := o.Secret("HTTP_AUTH_HEADER_" + host); ok {
			req.Header.Set("Authorization", strings.TrimSpace(string(header)))
			return
		}
		if token, ok := o.Secret("HTTP_AUTH_TOKEN_" + host); ok {
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			return
		}
	}
}

// httpClient gives up on servers that do not answer, and takes credentials to no other host: neither headers, nor the
// address before a redirect, which may have a token in its query.
func (o Fetcher) httpClient(address string) *http.Client {
	t := o.reach(address).transport()
	// This bounds the wait for the first byte; Bounds.Stall bounds each one after that.
	t.ResponseHeaderTimeout = 2 * time.Minute
	return &http.Client{Transport: &boundedTransport{t, o.Bounds.orDefault()}, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("redirected too often")
		}
		if first := via[0].URL; req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
			req.Header.Del("Authorization")
		}
		req.Header.Del("Referer")
		return nil
	}}
}

// WithoutAddress is the error of a request less the address, which may have credentials.
func WithoutAddress(err error) error {
	if inner := new(url.Error); errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// checksum compares a download with --checksum.
type checksum struct {
	want string
	hash hash.Hash // nil: sha256, which the store computes anyway
}

// newChecksum reads a --checksum; an empty one is right for any file.
func newChecksum(want string) (*checksum, error) {
	algorithm, digits, _ := strings.Cut(want, ":")
	c, size := &checksum{want: want}, sha256.Size
	switch algorithm {
	case "":
		return c, nil
	case "sha256":
	case "sha384":
		c.hash, size = sha512.New384(), sha512.Size384
	case "sha512":
		c.hash, size = sha512.New(), sha512.Size
	default:
		return nil, fmt.Errorf("--checksum=%s: it is sha256:, sha384: or sha512: and hex digits", want)
	}
	if b, err := hex.DecodeString(digits); err != nil || len(b) != size {
		return nil, fmt.Errorf("--checksum=%s: it has not the %d hex digits of %s", want, 2*size, algorithm)
	}
	return c, nil
}

// reader lets the bytes be hashed while they are read.
func (c *checksum) reader(r io.Reader) io.Reader {
	if c.hash == nil {
		return r
	}
	return io.TeeReader(r, c.hash)
}

// check compares, when all bytes have been read.
func (c *checksum) check(got v1.Hash) error {
	if c.hash != nil {
		algorithm, _, _ := strings.Cut(c.want, ":")
		got = v1.Hash{Algorithm: algorithm, Hex: hex.EncodeToString(c.hash.Sum(nil))}
	}
	if c.want != "" && c.want != got.String() {
		return fmt.Errorf("digest mismatch: got %s, --checksum wants %s", got, c.want)
	}
	return nil
}

// Open opens the file of a URL, with its time. The blob of the store is verified while it is read, so it is copied once more.
func (o Fetcher) Open(ctx context.Context, address, checksum string) (_ *os.File, at time.Time, err error) {
	d, err := o.fetch(ctx, address, checksum)
	if err != nil {
		return nil, at, err
	}
	blob, _, err := o.Store.Blob(d.Digest)
	if err != nil {
		return nil, at, err
	}
	defer blob.Close()
	f, err := os.CreateTemp(o.Store.Dir(), ".download-")
	if err != nil {
		return nil, at, err
	}
	if err = os.Remove(f.Name()); err == nil {
		_, err = io.Copy(f, blob)
	}
	if err != nil {
		f.Close()
		return nil, at, err
	}
	return f, d.Time, nil
}
