// This file owns the client of one repository: its login, how a request is sent and an answer refused, and the requests that read
// manifests or ask what is there. Uploads are in upload.go, the reading of large blobs is in resume.go.

package image

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// acceptable are the manifests that are asked for. Schema 1 is among the answers that old registries give anyway.
var acceptable = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
}, ", ")

// client speaks the distribution protocol with one repository. It is a place.
type client struct {
	ref      Ref
	repo     name.Repository
	http     *http.Client
	tried    string // It names the credentials, as an error may show them.
	patience wire.Patience
	meter    *meter
	// origin makes the client of the registry where this one is that of a mirror of it, else it is nil.
	origin func(context.Context) (*client, error)
}

// login says what a client is for.
type login struct {
	ref     Ref
	options Options
	action  string   // It is one of ggcr's scopes: to pull, or to push.
	sources []string // Layers are mounted from these repositories of the same registry.
}

// newClient logs in at a registry.
func newClient(ctx context.Context, l login) (*client, error) {
	o := l.options.at(l.ref.Host)
	repo, err := l.ref.repository(o.Insecure)
	if err != nil {
		return nil, err
	}
	auth, err := authenticator(ctx, o.Keychain, repo)
	if err != nil {
		return nil, err
	}
	c := &client{ref: l.ref, repo: repo, tried: triedOf(auth), patience: o.patience.OrDefault(), meter: &meter{report: o.Report}, origin: l.origin()}
	scopes := []string{repo.Scope(l.action)}
	for _, s := range l.sources {
		scopes = append(scopes, fmt.Sprintf("repository:%s:%s", s, transport.PullScope))
	}
	c.http, err = o.Connections.Open(ctx, wire.Login{Registry: repo.Registry, Auth: auth, Scopes: scopes}, o.network())
	if err != nil {
		return nil, c.typed(err)
	}
	return c, nil
}

// authenticator looks up who we are at a registry.
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

// typed gives an error of the registry its type.
func (c *client) typed(err error) error {
	return typed(err, c.ref.String(), c.repo.RegistryStr(), c.tried)
}

// String implements place.
func (c *client) String() string { return c.ref.String() }

// source implements place.
func (c *client) source() string { return c.repo.Name() }

// url is where the registry is asked first: by TLS, but on loopback. What a login finds out takes the scheme's place. ggcr
// would ask private addresses without TLS, too, which a registry with a certificate does not understand.
func (c *client) url(kind, id string) *url.URL {
	scheme := "https"
	if wire.IsLoopback(c.repo.RegistryStr()) {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: c.repo.RegistryStr(), Path: "/v2/" + c.repo.RepositoryStr() + "/" + kind + "/" + id}
}

// request is one whose body, if it has any, is in memory.
type request struct {
	method string
	to     *url.URL
	header http.Header // It may be nil.
	body   []byte
}

// make makes the request of net/http.
func (r request) make(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.to.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("making a request for %s: %w", r.to.Redacted(), err)
	}
	if r.header != nil {
		req.Header = r.header
	}
	return req, nil
}

// do sends a request and refuses every status but those given. The caller closes the body.
func (c *client) do(ctx context.Context, r request, want ...int) (*http.Response, error) {
	req, err := r.make(ctx)
	if err != nil {
		return nil, err
	}
	return c.send(req, want...)
}

// send is do for a request of net/http.
func (c *client) send(req *http.Request, want ...int) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.typed(err)
	}
	if err := transport.CheckError(resp, want...); err != nil {
		resp.Body.Close()
		return nil, c.typed(wire.Dated(err, resp))
	}
	return resp, nil
}

// closed drops the body of an answer of which only the status counts.
func closed(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// look sends a HEAD, and takes every status for an answer. There is no body to close.
func (c *client) look(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := request{method: http.MethodHead, to: u, header: header}.make(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.typed(err)
	}
	resp.Body.Close()
	resp.Body = http.NoBody
	return resp, nil
}

// get reads the manifest of a tag or digest, and proves that the bytes are those that were asked for and announced.
func (c *client) get(ctx context.Context, id string) (rawManifest, error) {
	header := wire.Plain()
	header.Set("Accept", acceptable)
	resp, err := c.do(ctx, request{method: http.MethodGet, to: c.url("manifests", id), header: header}, http.StatusOK)
	if err != nil {
		return rawManifest{}, err
	}
	defer resp.Body.Close()
	text, err := wire.Decoded(resp)
	if err != nil {
		return rawManifest{}, c.typed(err)
	}
	raw, err := readCapped(text, MaxManifest, c.ref.String()+": manifest")
	if err != nil {
		return rawManifest{}, c.typed(err)
	}
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	m := newManifest(raw, types.MediaType(strings.TrimSpace(mediaType)))
	for _, want := range []string{id, resp.Header.Get("Docker-Content-Digest")} {
		if got := m.desc.Digest.String(); strings.HasPrefix(want, "sha256:") && want != got {
			return rawManifest{}, &DigestError{c.ref.String() + ": manifest", want, got}
		}
	}
	return m, nil
}

// manifest implements place.
func (c *client) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	m, err := c.get(ctx, d.Digest.String())
	return m.raw, err
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
	case isAbsent(resp) || wire.PassingStatus(resp.StatusCode):
		return v1.Hash{}, c.typed(transport.CheckError(resp, http.StatusOK))
	}
	m, err := c.get(ctx, id)
	return m.desc.Digest, err
}

// standing returns what a tag or digest stands for; the zero Hash where that is nothing, or the registry does not say.
func (c *client) standing(ctx context.Context, id string) (v1.Hash, error) {
	resp, err := c.head(ctx, id)
	if err != nil {
		return v1.Hash{}, unlessRefused(err)
	}
	h, err := v1.NewHash(resp.Header.Get("Docker-Content-Digest"))
	if err != nil || resp.StatusCode != http.StatusOK {
		return v1.Hash{}, nil
	}
	return h, nil
}

// head asks for a manifest without its bytes.
func (c *client) head(ctx context.Context, id string) (*http.Response, error) {
	return c.look(ctx, c.url("manifests", id), http.Header{"Accept": {acceptable}})
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
	if wire.StatusOf(err) != 0 {
		return nil
	}
	return err
}
