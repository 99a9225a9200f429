// This file owns the transports that open connections, and the addresses that they refuse.

package wire

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/netguard"
)

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

// newTransport makes a transport that dials loopback and link-local addresses only where the registry itself, or a
// proxy that the user set, is there. Names are judged after they are resolved.
func newTransport(registry string, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	d := &dialer{registry: registry}
	d.trusted.Store(Hostname(registry), true)
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			u, err := proxy(r)
			if u != nil {
				d.trusted.Store(u.Hostname(), true)
			}
			return u, err
		},
		DialContext:           d.dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// dialer opens the connections of one transport.
type dialer struct {
	registry string
	trusted  sync.Map // It has the names that the user gave: the registry and its proxies.
}

// dial lets a name of this machine lead to loopback only, the registry and its proxies anywhere, and all other names to no service
// of this machine. A registry on loopback may lead anywhere, too: whoever runs it runs this program.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, named := d.trusted.Load(Hostname(addr))
	named = named || IsLoopback(d.registry)
	to := &net.Dialer{Timeout: 30 * time.Second}
	switch {
	case named && IsLoopback(addr):
		to.Control = onlyLoopback
	case !named:
		to.Control = refuseLocal
	}
	return to.DialContext(ctx, network, addr)
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
