// This file owns what git may reach. git opens its connections itself, to the repository, to where that redirects, and to
// submodules; so over http it gets a proxy of ours, which knows what is shut, and over ssh a program (gitdial.go).

package remote

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/proxy"

	"github.com/gbuild/gbuild/internal/netguard"
)

// gitGuard is that proxy, for as long as one git runs. It listens on loopback, and serves only who knows its password.
type gitGuard struct {
	reach         *reach
	trustedRemote string // HOST:PORT, trustsAll, or empty
	stall         time.Duration
	listener      net.Listener
	password      string
	server        *http.Server
	forward       *httputil.ReverseProxy

	mu      sync.Mutex
	refused error
}

// guardGit returns the guard for a git that works on a remote. It is nil where everything may be reached over http.
func (o Fetcher) guardGit(at *gitRemote) (*gitGuard, error) {
	if o.LocalNetwork && strings.HasPrefix(at.scheme, "http") { // git itself bounds how long such a server may be silent
		return nil, nil
	}
	// Every user of this machine can connect here. The password keeps them from using what the build may reach.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("making a proxy for git: %w", err)
	}
	g := &gitGuard{reach: o.reach(at.given), listener: l, password: rand.Text(), stall: o.Bounds.orDefault().Stall}
	switch {
	// Git over ssh or its own protocol dials by a program of ours, which is told here what needs no look at the address.
	case o.LocalNetwork:
		g.trustedRemote = trustsAll
	case o.Named:
		g.trustedRemote = endpoint(at.given)
	}
	quiet := log.New(io.Discard, "", 0)
	g.forward = &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: g.reach.transport(), ErrorLog: quiet,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { g.refuse(w, err) }}
	g.server = &http.Server{Handler: g, ErrorLog: quiet}
	go func() { _ = g.server.Serve(l) }()
	return g, nil
}

// close ends the proxy, and the connections that it holds.
func (g *gitGuard) close() {
	if g != nil {
		g.server.Close()
		g.forward.Transport.(*http.Transport).CloseIdleConnections()
	}
}

// refusal is the connection that was not made, if there was one.
func (g *gitGuard) refusal() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// env leads git to the guard: env is what it had without.
func (g *gitGuard) env(env []string) []string {
	if g == nil {
		return env
	}
	program, err := os.Executable()
	if err != nil {
		// In the process of git this leads to git.
		program = "/proc/self/exe" // git then says that it cannot use it
	}
	out := []string{"GIT_SSH=" + program, "GIT_SSH_VARIANT=ssh", "GIT_PROXY_COMMAND=" + program, gitTrustVar + "=" + g.trustedRemote, gitStallVar + "=" + g.stall.String()}
	settings := [][2]string{{"http.proxy", "http://gbuild:" + g.password + "@" + g.listener.Addr().String()}, {"http.proxyAuthMethod", "basic"}}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		switch {
		// These variables would lead git past the guard.
		case strings.HasSuffix(strings.ToLower(name), "_proxy"): // the guard asks them
		case name == "GIT_SSH_COMMAND": // it would come before GIT_SSH
		case name == "GIT_CONFIG_COUNT":
			// Settings are appended to those that are there: the last one of a name counts for git.
			n, _ := strconv.Atoi(value)
			for i, s := range settings {
				out = append(out, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n+i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n+i, s[1]))
			}
			out = append(out, "GIT_CONFIG_COUNT="+strconv.Itoa(n+len(settings)))
		default:
			out = append(out, v)
		}
	}
	return out
}

// ServeHTTP implements http.Handler.
func (g *gitGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	// Git asks without a password first, and again with it when it is told to.
	if _, password, _ := auth.BasicAuth(); password != g.password {
		w.Header().Set("Proxy-Authenticate", `Basic realm="gbuild"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		g.forward.ServeHTTP(w, r)
		return
	}
	out, err := g.reach.tunnel(r.Context(), r.Host)
	if err != nil {
		g.refuse(w, err)
		return
	}
	defer out.Close()
	in, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	if _, err := io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		both(struct {
			io.Reader
			io.WriteCloser
		}{buffered, in}, out)
	}
}

// both copies each way until one of them ends: neither TLS nor git goes on in one direction alone.
func both(a, b io.ReadWriteCloser) {
	var copying sync.WaitGroup
	for _, c := range [][2]io.ReadWriteCloser{{a, b}, {b, a}} {
		copying.Go(func() {
			_, _ = io.Copy(c[0], c[1])
			a.Close()
			b.Close()
		})
	}
	copying.Wait()
}

// refuse answers git, and keeps why: git words the answer in its own way.
func (g *gitGuard) refuse(w http.ResponseWriter, err error) {
	var refused *netguard.Error
	if errors.As(err, &refused) {
		g.mu.Lock()
		g.refused = refused
		g.mu.Unlock()
	}
	http.Error(w, err.Error(), http.StatusBadGateway)
}

// tunnel opens a connection, through the proxy of the user's that is for it.
func (r *reach) tunnel(ctx context.Context, address string) (net.Conn, error) {
	p, err := r.proxy(&url.URL{Scheme: "https", Host: address})
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return r.dial(ctx, "tcp", address)
	case strings.HasPrefix(p.Scheme, "socks5"):
		d, err := proxy.FromURL(p, reachDialer{r})
		if err != nil {
			return nil, err
		}
		return d.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	}
	return r.connect(ctx, p, address)
}

// reachDialer is a reach as package proxy wants it.
type reachDialer struct{ reach *reach }

// Dial implements proxy.Dialer.
func (d reachDialer) Dial(network, address string) (net.Conn, error) {
	return d.reach.dial(context.Background(), network, address)
}

// DialContext implements proxy.ContextDialer.
func (d reachDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.reach.dial(ctx, network, address)
}

// connect asks an HTTP proxy for a connection.
func (r *reach) connect(ctx context.Context, p *url.URL, address string) (net.Conn, error) {
	c, err := r.dial(ctx, "tcp", endpoint(p.String()))
	if err != nil {
		return nil, err
	}
	if p.Scheme == "https" {
		c = tls.Client(c, &tls.Config{ServerName: p.Hostname()})
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if p.User != nil {
		password, _ := p.User.Password()
		req.SetBasicAuth(p.User.Username(), password)
		req.Header = http.Header{"Proxy-Authorization": req.Header["Authorization"]}
	}
	if err = req.Write(c); err == nil {
		err = accepted(c, req)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("asking proxy %s for %s: %w", p.Host, address, err)
	}
	return c, nil
}

// accepted reads the answer to a CONNECT. A proxy says no more than that before it is spoken to, so nothing is lost that
// was read too far.
func accepted(c net.Conn, req *http.Request) error {
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err == nil && res.StatusCode != http.StatusOK {
		err = BadStatus(res.StatusCode)
	}
	return err
}
