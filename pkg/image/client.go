package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// MaxManifest is the size of the largest manifest that is read, in bytes: the distribution spec asks registries to take so much.
const MaxManifest = 4 << 20

const maxConfig = 16 << 20 // which is read into memory, too

// acceptable are the manifests that are asked for. Schema 1 is among the answers that old registries give anyway.
var acceptable = []string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
}

// client speaks the distribution protocol with one repository. ggcr's transport answers the registry's challenges; what
// leaves this machine is decided by guard, how often it is tried by retrier.
type client struct {
	ref   Ref
	repo  name.Repository
	http  *http.Client
	tried string
	patience
	meter *meter
	hub   func(context.Context) (*client, error) // of a mirror: what it mirrors
}

// newClient logs in at the registry of r, for the given scopes.
func newClient(ctx context.Context, r Ref, o Options, action string, sources ...string) (*client, error) {
	repo, err := r.repository(o.Insecure)
	if err != nil {
		return nil, err
	}
	auth, err := authenticator(ctx, o.Keychain, repo)
	if err != nil {
		return nil, err
	}
	c := &client{ref: r, repo: repo, tried: triedOf(auth), patience: o.patience.orDefault(), meter: &meter{report: o.Report}}
	if slices.Contains(o.Mirrors, r.Host) {
		c.hub = func(ctx context.Context) (*client, error) {
			to, direct := r, o
			to.Host, direct.Mirrors = dockerHub, nil
			return newClient(ctx, to, direct, action)
		}
	}
	scopes := []string{repo.Scope(action)}
	for _, s := range sources {
		scopes = append(scopes, fmt.Sprintf("repository:%s:%s", s, transport.PullScope))
	}
	g := o.Connections.guard(repo.RegistryStr(), o)
	wire := &retrier{g, c.patience}
	in := &session{hello: &g.hello, scopes: scopes}
	in.login = func(ctx context.Context, scopes []string) (http.RoundTripper, error) {
		return transport.NewWithContext(ctx, repo.Registry, auth, wire, scopes)
	}
	c.http = &http.Client{CheckRedirect: followRedirect}
	if auth == authn.Anonymous && (!o.Insecure || IsLoopback(g.host)) {
		c.http.Transport = &eager{wire: wire, session: in}
		return c, nil
	}
	c.http.Transport = in
	if _, err := in.enter(ctx); err != nil {
		return nil, c.explain(err)
	}
	return c, nil
}

func authenticator(ctx context.Context, k authn.Keychain, repo name.Repository) (authn.Authenticator, error) {
	if k == nil {
		return authn.Anonymous, nil
	}
	auth, err := authn.Resolve(ctx, k, repo)
	if err != nil {
		return nil, fmt.Errorf("looking up credentials for %s: %w", repo.RegistryStr(), err)
	}
	return auth, nil
}

func (c *client) explain(err error) error {
	return explain(err, c.ref.String(), c.repo.RegistryStr(), c.tried)
}

// String implements place.
func (c *client) String() string { return c.ref.String() }

func (c *client) source() string { return c.repo.Name() }

// url is where the registry is asked first: by TLS, but on loopback. What login finds out takes the scheme's place. ggcr
// would ask private addresses without TLS, too, which a registry with a certificate does not understand.
func (c *client) url(kind, id string) *url.URL {
	scheme := "https"
	if IsLoopback(c.repo.RegistryStr()) {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: c.repo.RegistryStr(), Path: "/v2/" + c.repo.RepositoryStr() + "/" + kind + "/" + id}
}

// do sends a request and refuses every status but those given. The caller closes the body.
func (c *client) do(ctx context.Context, method string, u *url.URL, header http.Header, want ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making a request for %s: %w", u.Redacted(), err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return c.send(req, want...)
}

func (c *client) send(req *http.Request, want ...int) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if err := transport.CheckError(resp, want...); err != nil {
		resp.Body.Close()
		if after, ok := retryAfter(resp); ok {
			err = &laterError{err, after}
		}
		return nil, c.explain(err)
	}
	return resp, nil
}

// get reads the manifest of a tag or digest, and proves that the bytes are those that were asked for and announced.
func (c *client) get(ctx context.Context, id string) ([]byte, v1.Descriptor, error) {
	header := plain()
	header.Set("Accept", strings.Join(acceptable, ", "))
	resp, err := c.do(ctx, http.MethodGet, c.url("manifests", id), header, http.StatusOK)
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	defer resp.Body.Close()
	text, err := decoded(resp)
	if err != nil {
		return nil, v1.Descriptor{}, c.explain(err)
	}
	raw, err := readCapped(text, MaxManifest, c.ref.String()+": manifest")
	if err != nil {
		return nil, v1.Descriptor{}, c.explain(err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return nil, v1.Descriptor{}, fmt.Errorf("hashing manifest: %w", err)
	}
	for _, want := range []string{id, resp.Header.Get("Docker-Content-Digest")} {
		if strings.HasPrefix(want, "sha256:") && want != digest.String() {
			return nil, v1.Descriptor{}, &DigestError{c.ref.String() + ": manifest", want, digest.String()}
		}
	}
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return raw, v1.Descriptor{Digest: digest, Size: size, MediaType: types.MediaType(strings.TrimSpace(mediaType))}, nil
}

// manifest implements place.
func (c *client) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	raw, _, err := c.get(ctx, d.Digest.String())
	return raw, err
}

// digest asks what a tag or digest stands for, without reading it where the registry says so. One that does not know HEAD, or
// does not allow it, is asked with GET.
func (c *client) digest(ctx context.Context, id string) (v1.Hash, error) {
	resp, err := c.head(ctx, id)
	if err != nil {
		return v1.Hash{}, err
	}
	h, err := v1.NewHash(resp.Header.Get("Docker-Content-Digest"))
	switch {
	case resp.StatusCode == http.StatusOK && err == nil:
		return h, nil
	case isAbsent(resp) || passing(resp, nil):
		return v1.Hash{}, c.explain(transport.CheckError(resp, http.StatusOK))
	}
	_, d, err := c.get(ctx, id)
	return d.Digest, err
}

// head asks for a manifest without its bytes, and takes every answer for one.
func (c *client) head(ctx context.Context, id string) (*http.Response, error) {
	return c.look(ctx, c.url("manifests", id), http.Header{"Accept": {strings.Join(acceptable, ", ")}})
}

// look is a HEAD, whose answer may be any. There is no body to close.
func (c *client) look(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making a request for %s: %w", u.Redacted(), err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	resp.Body.Close()
	resp.Body = http.NoBody
	return resp, nil
}

// isAbsent says that a registry knows of nothing under a name. One that has no HEAD may answer 404, too, but it has nothing to add.
func isAbsent(resp *http.Response) bool {
	return resp.StatusCode == http.StatusNotFound && (resp.ContentLength > 0 || strings.Contains(resp.Header.Get("Content-Type"), "json"))
}

// exists asks whether the repository has a blob. A registry that does not say so gets it.
func (c *client) exists(ctx context.Context, h v1.Hash) (bool, error) {
	resp, err := c.look(ctx, c.url("blobs", h.String()), nil)
	if err != nil {
		return false, unlessRefused(err)
	}
	return resp.StatusCode == http.StatusOK, nil
}

// unlessRefused drops an error that is an answer of the registry: what was asked was a favour.
func unlessRefused(err error) error {
	if statusOf(err) != 0 {
		return nil
	}
	return err
}

// readCapped reads all, and refuses more than limit bytes.
func readCapped(r io.Reader, limit int64, what string) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if int64(len(raw)) > limit {
		return nil, &FormatError{what, fmt.Sprintf("is larger than %d MiB", limit>>20), "this is no container image"}
	}
	return raw, nil
}
