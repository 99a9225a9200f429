package image

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/gbuild/gbuild/internal/netguard"
)

// guard is the last RoundTripper before the wire. It decides what may be sent where: no credentials to hosts that have
// nothing to do with the registry, no plain http except to loopback, no way to services of this machine.
type guard struct {
	host     string // the registry, with its port
	insecure bool
	strict   http.RoundTripper
	lax      http.RoundTripper // does not verify certificates: for the registry itself when it is insecure
	agent    string
	hello    greetings

	certs []string // directories, as certsFor reads them
	proxy func(*http.Request) (*url.URL, error)
	mu    sync.Mutex
	ways  map[string]http.RoundTripper // with TLS, by host
}

// newGuard makes the transports for one registry.
func newGuard(host string, o Options) *guard {
	g := &guard{host: host, insecure: o.Insecure, agent: o.UserAgent, certs: o.Certs, proxy: o.Proxy, ways: map[string]http.RoundTripper{}}
	if g.agent == "" {
		g.agent = "gbuild"
	}
	g.strict = newTransport(host, o.Proxy)
	if o.Insecure {
		lax := newTransport(host, o.Proxy)
		lax.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for with --insecure
		g.lax = lax
	}
	return g
}

// newTransport makes a transport that dials loopback and link-local addresses only where the registry itself, or a
// proxy that the user set, is there. Names are judged after they are resolved.
func newTransport(registry string, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	var trusted sync.Map
	trusted.Store(hostname(registry), true)
	plain := &net.Dialer{Timeout: 30 * time.Second}
	fenced := &net.Dialer{Timeout: 30 * time.Second, Control: refuseLocal}
	home := &net.Dialer{Timeout: 30 * time.Second, Control: onlyLoopback}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			u, err := proxy(r)
			if u != nil {
				trusted.Store(u.Hostname(), true)
			}
			return u, err
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, ok := trusted.Load(hostname(addr))
			switch {
			case IsLoopback(addr):
				if ok || IsLoopback(registry) {
					return home.DialContext(ctx, network, addr)
				}
			case ok || IsLoopback(registry):
				return plain.DialContext(ctx, network, addr)
			}
			return fenced.DialContext(ctx, network, addr)
		},
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// refuseLocal keeps a registry from pointing gbuild at services of this machine or of its cloud.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading address %q: %w", address, err)
	}
	if netguard.Shut(ap.Addr()) {
		return &TrustError{Host: address, Reason: "it is an address of this machine, its link or its cloud's own services, and the registry is elsewhere"}
	}
	return nil
}

// onlyLoopback holds a name of this machine to its word: what may be asked without TLS, because nobody else can listen,
// must not be sent elsewhere by a name server.
func onlyLoopback(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading address %q: %w", address, err)
	}
	if !ap.Addr().Unmap().IsLoopback() {
		return &TrustError{Host: address, Reason: "a name that means this machine stands for the address of another one"}
	}
	return nil
}

// TrustError says that a registry pointed gbuild to a place that it does not follow it to.
type TrustError struct {
	Registry string
	Host     string
	Reason   string
	Remedy   string
}

// Error implements error.
func (e *TrustError) Error() string {
	if e.Registry == "" || e.Registry == e.Host {
		return fmt.Sprintf("refusing to connect to %s: %s", e.Host, e.Reason)
	}
	return fmt.Sprintf("registry %s points to %s: %s", e.Registry, e.Host, e.Reason)
}

// Hint says what may help.
func (e *TrustError) Hint() string { return e.Remedy }

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.plainAllowed(r.URL) {
		return nil, &TrustError{g.host, r.URL.Host, "it would be asked without TLS", "allow plain http with --insecure"}
	}
	if carriesSecret(r) && !g.trusts(r.URL) {
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
	if resp, err, ok := g.hello.recall(r); ok {
		return resp, err
	}
	resp, err := g.send(r)
	g.hello.keep(r, resp, err)
	return resp, err
}

func (g *guard) send(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", g.agent)
	t, err := g.way(r.URL)
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(r)
}

// way is the transport to a host. One with certificates of its own has one of its own, so that they count for no other host.
func (g *guard) way(u *url.URL) (http.RoundTripper, error) {
	t := g.strict
	lax := g.lax != nil && u.Host == g.host
	if lax {
		t = g.lax
	}
	if u.Scheme != "https" {
		return t, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.ways[u.Host]; known != nil {
		return known, nil
	}
	c, err := certsFor(g.certs, u.Host)
	if err != nil {
		return nil, err
	}
	if c != nil {
		c.InsecureSkipVerify = lax
		own := newTransport(g.host, g.proxy)
		own.TLSClientConfig, t = c, own
	}
	g.ways[u.Host] = t
	return t, nil
}

// plainAllowed permits plain http to loopback when the registry is there, and to an insecure registry itself.
func (g *guard) plainAllowed(u *url.URL) bool {
	return (IsLoopback(u.Host) && IsLoopback(g.host)) || (g.insecure && sameSite(u.Host, g.host))
}

// carriesSecret sees both ways in which a secret leaves: the header, and the form of the OAuth token request.
func carriesSecret(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
}

func (g *guard) trusts(u *url.URL) bool { return sameSite(u.Host, g.host) }

// sameSite says whether two hosts are under one owner: equal, or with the same registrable domain. Addresses and names
// without a domain must be equal.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	an, bn := hostname(a), hostname(b)
	if _, err := netip.ParseAddr(an); err == nil {
		return an == bn
	}
	ad, err := publicsuffix.EffectiveTLDPlusOne(an)
	if err != nil {
		return an == bn
	}
	bd, err := publicsuffix.EffectiveTLDPlusOne(bn)
	return err == nil && strings.EqualFold(ad, bd)
}

// IsLoopback says whether HOST[:PORT] is this machine itself, by its name or address alone: localhost, a name below it,
// or an address of 127.0.0.0/8 or ::1.
func IsLoopback(hostport string) bool {
	host := strings.ToLower(strings.TrimSuffix(hostname(hostport), "."))
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return ip.IsLoopback()
}

// hostname is a host without its port.
func hostname(hostport string) string {
	return (&url.URL{Host: hostport}).Hostname()
}

// followRedirect is the policy of the registry's client. Credentials do not follow: they are set per host further down.
func followRedirect(r *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("stopped after 10 redirects")
	}
	if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return &TrustError{via[0].URL.Host, r.URL.Host, "the redirect leaves TLS", "tell the registry's owner"}
	}
	return nil
}
