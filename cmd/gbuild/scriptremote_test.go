package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// remoteCommand gives the script's registry names that are not this machine's: remote [DELAY]. A proxy stands for the
// network: $PLAIN is the registry over plain http, $CLAIMED the same under a name that begins as localhost does, and
// $SIGNED the registry with a certificate of its own. Each answer comes after the delay.
func remoteCommand(ts *testscript.TestScript, neg bool, args []string) {
	target, err := url.Parse("http://" + worldOf(ts).registry.Host())
	ts.Check(err)
	var delay time.Duration
	if len(args) > 0 {
		delay, err = time.ParseDuration(args[0])
		ts.Check(err)
	}
	slow := slowly(delay, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.Host, r.Out.URL.Scheme, r.Out.URL.Host = r.In.Host, target.Scheme, target.Host
	}})
	signed := httptest.NewUnstartedServer(slow)
	signed.Config.ErrorLog = log.New(io.Discard, "", 0)
	signed.StartTLS()
	ts.Defer(signed.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect && strings.HasPrefix(r.Host, "signed.test:"):
			tunnel(w, signed.Listener.Addr().String())
		case r.Method != http.MethodConnect && !strings.HasPrefix(r.Host, "signed.test:"):
			slow.ServeHTTP(w, r)
		default: // no TLS there
			tunnel(w, target.Host)
		}
	}))
	ts.Defer(proxy.Close)
	ts.Setenv("HTTP_PROXY", proxy.URL)
	ts.Setenv("HTTPS_PROXY", proxy.URL)
	ts.Setenv("PLAIN", "plain.test:5000")
	ts.Setenv("CLAIMED", "localhost.test:5000")
	ts.Setenv("SIGNED", "signed.test:5000")
}

func slowly(delay time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		h.ServeHTTP(w, r)
	})
}

// tunnel joins the connection of a CONNECT request to an address.
func tunnel(w http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(there, here); there.Close() }()
	_, _ = io.Copy(here, there)
}

// TestInsecureIsAFlagOfEachCommandThatFetches: each may need a layer that a base left in its registry.
func TestInsecureIsAFlagOfEachCommandThatFetches(t *testing.T) {
	a := testApp(nil)
	root := newRootCommand(a)
	for _, words := range []string{"build", "run", "push", "save", "cache push", "cache pull", "cache prune"} {
		c, _, err := root.Find(strings.Fields(words))
		if err != nil || c.Flags().Lookup("insecure") == nil {
			t.Errorf("%s takes no --insecure (%v)", words, err)
		}
	}
}
