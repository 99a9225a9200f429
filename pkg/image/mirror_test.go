package image

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// newHub stands for Docker Hub: a TLS server with its name, the proxy that leads there, and the certs.d that trusts it.
func newHub(t *testing.T, answer http.HandlerFunc) (proxy *url.URL, certs string) {
	t.Helper()
	cert := certificate(t, hubHost, time.Now().AddDate(1, 0, 0))
	at := tlsHost(t, &tls.Config{Certificates: []tls.Certificate{cert}}, answer)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		to, err := net.Dial("tcp", at)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		go func() { _, _ = io.Copy(from, to); from.Close() }()
	}))
	t.Cleanup(s.Close)
	proxy, _ = url.Parse(s.URL)
	ca, _ := pemOf(t, cert)
	return proxy, certsDir(t, hubHost, map[string][]byte{"ca.crt": ca})
}

// A mirror that has a manifest, and fails at the blobs, is no worse than one that has nothing.
func TestMirrorFailsAtBlobs(t *testing.T) {
	img := randomImage(t, 300_000, 2)
	config, _ := img.ConfigName()
	layer := func(r *http.Request) bool {
		return is("GET", "/blobs/")(r) && !strings.Contains(r.URL.Path, config.Hex)
	}
	for name, hook := range map[string]func(h *host) hook{
		"nothing":   func(*host) hook { return nil },
		"404":       func(*host) hook { return always(layer, status(404)) },
		"403":       func(*host) hook { return always(layer, status(403)) },
		"500":       func(*host) hook { return always(layer, status(500)) },
		"reset":     func(*host) hook { return always(layer, reset) },
		"cut, ever": func(h *host) hook { return cutter(h, 1<<30, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			write(t, h.ref(t, "library/app:1"), img, quickWrite())
			proxy, certs := newHub(t, h.inner.ServeHTTP)
			h.on(hook(h))
			o := steady().Options
			o.Mirrors, o.Certs = []string{strings.TrimPrefix(h.URL, "http://")}, []string{certs}
			o.proxy = func(r *http.Request) (*url.URL, error) {
				if r.URL.Hostname() == hubHost {
					return proxy, nil
				}
				return nil, nil
			}
			pullAll(t, mustRef(t, "app:1"), img, o)
		})
	}
}
