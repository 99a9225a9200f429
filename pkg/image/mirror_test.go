package image

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// hubMirrors are mirrors of Docker Hub.
func hubMirrors(hosts ...string) (all []Mirror) {
	for _, h := range hosts {
		all = append(all, Mirror{Of: dockerHub, Host: h})
	}
	return all
}

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
			o.Mirrors, o.Certs = hubMirrors(strings.TrimPrefix(h.URL, "http://")), []string{certs}
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

// A mirror may have the images of any registry below a path of its own; what it lacks the registry itself is asked for, unless
// nobody else may be.
func TestMirrorsOfOthersWithAPath(t *testing.T) {
	from, mirror := newHost(t), newHost(t)
	img, other := randomImage(t, 1000, 1), randomImage(t, 1000, 1)
	write(t, mirror.ref(t, "kept/of/team/app:1"), img, quickWrite())
	write(t, from.ref(t, "team/app:1"), other, quickWrite())
	write(t, from.ref(t, "team/other:1"), other, quickWrite())
	o := quick()
	o.Mirrors = []Mirror{{Of: from.ref(t, "a:1").Host, Host: mirror.ref(t, "a:1").Host, Path: "kept/of"}, {Of: "else.invalid", Host: mirror.ref(t, "a:1").Host}}
	pullAll(t, from.ref(t, "team/app:1"), img, o)
	pullAll(t, from.ref(t, "team/other:1"), other, o)
	// A layer says that it is in the mirror, and is asked of the registry when that has lost it.
	got, err := Open(context.Background(), from.ref(t, "team/app:1"), o)
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := got.Layers()
	source := layers[0].(interface{ Source() string }).Source()
	if !strings.HasSuffix(source, "/kept/of/team/app") {
		t.Errorf("the layer is in %q", source)
	}
	origin, ok := o.mirrored(mustRef(t, source))
	if !ok || origin.Name() != from.ref(t, "team/app:1").Name() {
		t.Errorf("%q is of %v, %t", source, origin, ok)
	}
	o.MirrorsOnly = true
	if _, err := Open(context.Background(), from.ref(t, "team/other:1"), o); err == nil || !strings.Contains(err.Error(), "no mirror of") {
		t.Errorf("%v", err)
	}
	pullAll(t, from.ref(t, "team/app:1"), img, o)
}

// Hosts say of single registries whether plain http may be spoken and who vouches for them.
func TestHosts(t *testing.T) {
	cert := certificate(t, "127.0.0.1", time.Now().AddDate(1, 0, 0))
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	write(t, h.ref(t, "app:1"), img, quickWrite())
	at := tlsHost(t, &tls.Config{Certificates: []tls.Certificate{cert}}, h.inner.ServeHTTP)
	ref := mustRef(t, at+"/app:1")
	ca, _ := pemOf(t, cert)
	file := t.TempDir() + "/ca.crt"
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host Host
		all  bool
		fine bool
	}{
		"nobody vouches":      {},
		"it need not":         {host: Host{Unverified: true}, fine: true},
		"insecure":            {host: Host{Insecure: true}, fine: true},
		"all but this":        {all: true},
		"an authority for it": {host: Host{CA: file}, fine: true},
		"a file that is none": {host: Host{CA: file + ".not"}},
		"a pair that is none": {host: Host{Unverified: true, Cert: file, Key: file}},
	} {
		o := quick()
		o.Hosts, o.Unverified = map[string]Host{at: c.host}, c.all
		if _, err := Open(context.Background(), ref, o); (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}
