// This file owns the rules for what may be sent to which host, and the Options of this package, which some of them depend on.

package wire

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"net/url"
	"sync"
)

// Options say how a registry is reached. The zero value asks with TLS, by the proxy of the environment.
type Options struct {
	// Insecure permits plain http, and certificates that nobody vouches for, at the registry itself.
	Insecure bool
	// Unverified permits certificates that nobody vouches for, at the registry itself, and no plain http.
	Unverified bool
	// UserAgent is sent with every request. The empty one means gbuild.
	UserAgent string
	// Certs returns the certificates that are set up for a host; nil means that there are none, as does a nil function.
	Certs func(host string) (*tls.Config, error)
	// Proxy chooses the proxy of a request. Nil means http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// Patience says how long a request may take. Where it is zero, the usual times hold.
	Patience Patience
}

// guard is the last RoundTripper before the network. It decides what may be sent where: no credentials to hosts that have
// nothing to do with the registry, no plain http except to loopback, no way to services of this machine.
type guard struct {
	host    string // It is the registry, with its port.
	options Options
	strict  http.RoundTripper
	lax     http.RoundTripper // It verifies no certificate: for the registry itself when nobody need vouch for it, else nil.
	hello   greetings

	mu     sync.Mutex
	routes map[string]http.RoundTripper // They are those with TLS, by host.
}

// newGuard makes the transports for one registry.
func newGuard(host string, o Options) *guard {
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	g := &guard{host: host, options: o, strict: newTransport(host, o.Proxy), routes: map[string]http.RoundTripper{}}
	if o.Insecure || o.Unverified {
		lax := newTransport(host, o.Proxy)
		lax.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // The user asked for it with --insecure.
		g.lax = lax
	}
	return g
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.plainAllowed(r.URL) {
		return nil, &TrustError{g.host, r.URL.Host, "it would be asked without TLS", "allow plain http with --insecure"}
	}
	if carriesSecret(r) && !sameSite(r.URL.Host, g.host) {
		return nil, &TrustError{g.host, r.URL.Host, "it would get this registry's credentials, and is not of the same domain",
			"if the login server is right, use a registry token instead of a password"}
	}
	if r.Method == http.MethodGet && r.URL.Path == "/v2/" && r.URL.Host == g.host && !carriesSecret(r) {
		return g.greet(r)
	}
	return g.send(r)
}

// greet asks the registry once how it wants to be asked.
func (g *guard) greet(r *http.Request) (*http.Response, error) {
	if resp, ok, err := g.hello.recall(r); ok {
		return resp, err
	}
	resp, err := g.send(r)
	g.hello.keep(r, resp, err)
	return resp, err
}

// send sends a request that is allowed.
func (g *guard) send(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", cmp.Or(g.options.UserAgent, "gbuild"))
	t, err := g.route(r.URL)
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(r)
}

// route is the transport to a host. A host with certificates of its own has one of its own, so that they count for no other host.
func (g *guard) route(u *url.URL) (http.RoundTripper, error) {
	t := g.strict
	lax := g.lax != nil && u.Host == g.host
	if lax {
		t = g.lax
	}
	if u.Scheme != "https" || g.options.Certs == nil {
		return t, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.routes[u.Host]; known != nil {
		return known, nil
	}
	c, err := g.options.Certs(u.Host)
	if err != nil {
		return nil, err
	}
	if c != nil {
		c.InsecureSkipVerify = lax
		own := newTransport(g.host, g.options.Proxy)
		own.TLSClientConfig, t = c, own
	}
	g.routes[u.Host] = t
	return t, nil
}

// plainAllowed permits plain http to loopback when the registry is there, and to an insecure registry itself.
func (g *guard) plainAllowed(u *url.URL) bool {
	return (IsLoopback(u.Host) && IsLoopback(g.host)) || (g.options.Insecure && sameSite(u.Host, g.host))
}

// carriesSecret sees both ways in which a secret leaves: the header, and the form of the OAuth token request.
func carriesSecret(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
}
