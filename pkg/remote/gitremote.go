// This file owns addresses of git repositories: which are fetched from at all, and to which host credentials go.
// An address has two forms: as it was given, perhaps with credentials, and as everybody may see it.

package remote

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// gitRemote is a repository by its address, and what its host may see of the caller's credentials.
type gitRemote struct {
	given   string // the address of the source that leads here; it may say credentials
	address string // the address without credentials, which git, the files and all messages get
	scheme  string // https, http, git or ssh
	host    string // the host, with its port
	auth    string // the Authorization header for host; empty: none
	late    string // the same, for a host that asks for one
	user    *url.Userinfo
}

// String implements fmt.Stringer: messages have the address without credentials.
func (r *gitRemote) String() string { return r.address }

// The forms of addresses. What does not match them never reaches git.
var (
	hasScheme = lazyregexp.New(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	// scpStyle is [USER@]HOST:PATH. A second colon would be one of git's own transports, "ext::COMMAND".
	scpStyle = lazyregexp.New(`^(?:([A-Za-z0-9._~+][A-Za-z0-9._~+-]*)@)?([A-Za-z0-9._][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([^:\x00-\x1f\x7f][^\x00-\x1f\x7f]*)$`)
	urlHost  = lazyregexp.New(`^([A-Za-z0-9._][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$`)
	sshUser  = lazyregexp.New(`^[A-Za-z0-9._~+][A-Za-z0-9._~+-]*$`)
)

// parseGitRemote reads an address. Files of this machine, commands, and whatever git could take for an option are none.
func parseGitRemote(address string) (*gitRemote, error) {
	refused := fmt.Errorf("%q is no address of a git server: it is https, http, git or ssh", dockerfile.Redact(address))
	if !hasScheme().MatchString(address) {
		m := scpStyle().FindStringSubmatch(address)
		if m == nil {
			return nil, refused
		}
		return &gitRemote{given: address, address: address, scheme: "ssh", host: m[2]}, nil
	}
	u, err := url.Parse(address)
	if err != nil || !urlHost().MatchString(u.Host) || strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, refused
	}
	r := &gitRemote{given: address, scheme: u.Scheme, host: strings.ToLower(u.Host), user: u.User}
	u.Fragment, u.RawFragment, u.User = "", "", nil
	switch u.Scheme {
	case "http", "https", "git":
	case "ssh":
		if name := r.user.Username(); name != "" {
			if !sshUser().MatchString(name) {
				return nil, refused
			}
			u.User = url.User(name) // ssh takes no password from an address
		}
	default:
		return nil, refused
	}
	r.address = u.String()
	return r, nil
}

// sameHost says whether both addresses lead to the same server, by the same protocol.
func (r *gitRemote) sameHost(other *gitRemote) bool {
	return r.scheme == other.scheme && r.withPort() == other.withPort()
}

// withPort is the host with the port that its scheme has by default.
func (r *gitRemote) withPort() string {
	host := strings.TrimSuffix(strings.ToLower(r.host), ":")
	for _, usual := range []string{"https:443", "http:80", "ssh:22", "git:9418"} {
		scheme, port, _ := strings.Cut(usual, ":")
		if r.scheme == scheme && strings.LastIndex(host, ":") <= strings.LastIndex(host, "]") {
			return host + ":" + port
		}
	}
	return host
}

// withCredentials returns the remote with what its host is to get: the user and password of its address, or the secret
// for it. A user alone may be a token, which is said only to a server that asks.
func (o Fetcher) withCredentials(r *gitRemote, secrets ...string) *gitRemote {
	if r.scheme != "https" && r.scheme != "http" || r.auth != "" {
		return r
	}
	with := *r
	if _, has := r.user.Password(); has {
		with.auth = basicAuth(r.user)
		return &with
	}
	if with.auth = o.gitSecret(secrets); with.auth == "" && r.user.Username() != "" {
		with.late = basicAuth(r.user)
	}
	return &with
}

// basicAuth is a header for a user and a password.
func basicAuth(user *url.Userinfo) string {
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// gitSecret returns the Authorization header of the first secret that is given: GIT_AUTH_HEADER or GIT_AUTH_TOKEN with
// one of the suffixes.
func (o Fetcher) gitSecret(suffixes []string) string {
	if o.Secret == nil {
		return ""
	}
	for _, suffix := range suffixes {
		if header, ok := o.Secret("GIT_AUTH_HEADER" + suffix); ok {
			return strings.TrimSpace(string(header))
		}
		if token, ok := o.Secret("GIT_AUTH_TOKEN" + suffix); ok {
			return basicAuth(url.UserPassword("x-access-token", strings.TrimSpace(string(token))))
		}
	}
	return ""
}

// ownSecrets are the suffixes of secrets that are for this host and no other.
func (r *gitRemote) ownSecrets() []string {
	suffixes := []string{"." + r.host}
	if name, _, ok := strings.Cut(r.host, ":"); ok && !strings.HasPrefix(r.host, "[") {
		suffixes = append(suffixes, "."+name)
	}
	return suffixes
}

// connect calls use with the remote and its credentials. Git itself follows no redirect with them, since it would take
// them along to wherever that leads; where it fails, the server is asked where the repository is, and use called again.
func (o Fetcher) connect(ctx context.Context, r *gitRemote, use func(*gitRemote) error) error {
	at := o.withCredentials(r, append(r.ownSecrets(), "")...)
	return o.connectAs(ctx, at, use)
}

// connectAs does so with credentials that were chosen already.
func (o Fetcher) connectAs(ctx context.Context, at *gitRemote, use func(*gitRemote) error) error {
	err := use(at)
	if err == nil || at.auth == "" && at.late == "" {
		return err
	}
	if moved := o.follow(ctx, at); moved != nil && (moved.address != at.address || moved.auth != at.auth) {
		return use(moved)
	}
	return err
}

// follow follows the redirects of a server to the repository. Credentials go no further than the first host. It returns
// nil where that leads nowhere.
func (o Fetcher) follow(ctx context.Context, r *gitRemote) *gitRemote {
	client := o.httpClient(r.given)
	defer client.CloseIdleConnections()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at := *r
	for range 10 {
		next, err := at.step(ctx, client)
		if err != nil {
			return nil
		}
		if next == nil {
			return &at
		}
		at = *next
	}
	return nil
}

// gitService is what git asks a web server for first, below the address of the repository.
const gitService = "/info/refs?service=git-upload-pack"

// step asks once, and returns what to ask next; nil where this is the place.
func (r *gitRemote) step(ctx context.Context, client *http.Client) (*gitRemote, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.address, "/")+gitService, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "git/gbuild") // some servers have another page for browsers
	if r.auth != "" {
		req.Header.Set("Authorization", r.auth)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	res.Body.Close()
	next := *r
	switch {
	case res.StatusCode == http.StatusUnauthorized && r.auth == "" && r.late != "":
		next.auth, next.late = r.late, ""
		return &next, nil
	case res.StatusCode < 300 || res.StatusCode > 399:
		return nil, nil
	}
	return r.moved(req.URL, res.Header.Get("Location"))
}

// serviceEnd is the end of an address that a redirect of git must keep.
var serviceEnd = lazyregexp.New(`/info/refs(\?.*)?$`)

// moved is the remote where a redirect leads to.
func (r *gitRemote) moved(from *url.URL, location string) (*gitRemote, error) {
	u, err := from.Parse(location)
	if err != nil || !serviceEnd().MatchString(u.String()) {
		return nil, errors.New("the redirect leads to no git repository")
	}
	u.User = nil
	next, err := parseGitRemote(serviceEnd().ReplaceAllString(u.String(), ""))
	if err != nil || next.scheme != "https" && next.scheme != "http" {
		return nil, cmp.Or(err, errors.New("the redirect leads away from the web"))
	}
	next.given = r.given
	if next.sameHost(r) {
		next.auth, next.late = r.auth, r.late
	}
	return next, nil
}
