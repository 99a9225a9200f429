// This file owns where a source that lies elsewhere may lead: an ADD of a URL, a context, a git repository, and whatever
// any of them redirects to. A Dockerfile reaches no more by them than by a RUN.

package remote

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/gbuild/gbuild/internal/netguard"
)

// reach is what may be connected to for one source.
type reach struct {
	open    bool     // everything: the command line grants the host's network
	trusted sync.Map // HOST:PORT of what the user named, and of the user's proxies
	proxies func(*url.URL) (*url.URL, error)
}

// reach returns what the source at an address may reach.
func (o Fetcher) reach(address string) *reach {
	r := &reach{open: o.LocalNetwork, proxies: proxiesOf(o.Environ)}
	if o.Named {
		r.trust(address)
	}
	return r
}

// trust lets an address be reached, whatever it is.
func (r *reach) trust(address string) { r.trusted.Store(endpoint(address), true) }

// trusts says whether an endpoint is one of these.
func (r *reach) trusts(endpoint string) bool {
	_, ok := r.trusted.Load(strings.ToLower(endpoint))
	return ok
}

// endpoint is HOST:PORT of a URL, or of [USER@]HOST:PATH as ssh has it.
func endpoint(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		_, host, found := strings.Cut(address, "@")
		if !found {
			host = address
		}
		host, _, _ = strings.Cut(host, ":")
		return net.JoinHostPort(strings.ToLower(host), "22")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "ssh": "22", "git": "9418", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// dial opens a connection, if it is not to an address that is shut.
func (r *reach) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if !r.open && !r.trusts(address) {
		d.Control = netguard.Control
	}
	return d.DialContext(ctx, network, address)
}

// proxy says through which proxy of the user's a URL is asked for. What a proxy may reach is its own affair, except for
// addresses that stand in the URL.
func (r *reach) proxy(u *url.URL) (*url.URL, error) {
	p, err := r.proxies(u)
	if err != nil || p == nil {
		return nil, err
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && netguard.Shut(a) && !r.open && !r.trusts(endpoint(u.String())) {
		return nil, &netguard.Error{Address: u.Host}
	}
	r.trust(p.String())
	return p, nil
}

// proxiesOf reads the variables that name proxies, as curl does: ALL_PROXY counts where no other does.
func proxiesOf(environ []string) func(*url.URL) (*url.URL, error) {
	get := func(names ...string) (value string) {
		for _, name := range names {
			for _, v := range slices.Backward(environ) {
				if value, ok := strings.CutPrefix(v, name+"="); ok && value != "" {
					return value
				}
			}
		}
		return ""
	}
	all := get("all_proxy", "ALL_PROXY")
	return (&httpproxy.Config{HTTPProxy: cmp.Or(get("http_proxy", "HTTP_PROXY"), all), HTTPSProxy: cmp.Or(get("https_proxy", "HTTPS_PROXY"), all),
		NoProxy: get("no_proxy", "NO_PROXY")}).ProxyFunc()
}

// transport asks web servers within reach.
func (r *reach) transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = r.dial
	t.Proxy = func(req *http.Request) (*url.URL, error) { return r.proxy(req.URL) }
	return t // it asks for gzip and undoes it, as BuildKit's does: a file is what it is without its Content-Encoding
}
