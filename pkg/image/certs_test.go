package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemOf writes a certificate and its key as files do.
func pemOf(t *testing.T, c tls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// certsDir makes a certs.d with files for one host.
func certsDir(t *testing.T, host string, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, host), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, host, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCertsOfHosts(t *testing.T) {
	year := time.Now().AddDate(1, 0, 0)
	server, client, other := certificate(t, "127.0.0.1", year), certificate(t, "me", year), certificate(t, "127.0.0.1", year)
	ca, _ := pemOf(t, server)
	cert, key := pemOf(t, client)
	foreign, foreignKey := pemOf(t, other)
	known := x509.NewCertPool()
	known.AppendCertsFromPEM(cert)
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	want := write(t, h.ref(t, "a:1"), img, quickWrite())
	open := tlsHost(t, &tls.Config{Certificates: []tls.Certificate{server}}, h.inner.ServeHTTP)
	mutual := tlsHost(t, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known}, h.inner.ServeHTTP)
	type files = map[string][]byte
	for name, c := range map[string]struct {
		host, named string
		files       files
		ok          bool
	}{
		"nothing":                      {open, open, files{}, false},
		"ca.crt":                       {open, open, files{"ca.crt": ca}, true},
		"another name, among others":   {open, open, files{"x.crt": foreign, "y.crt": ca, "README": nil}, true},
		"two in one file":              {open, open, files{"ca.crt": append(foreign, ca...)}, true},
		"another's CA":                 {open, open, files{"ca.crt": foreign}, false},
		"another host's":               {open, mutual, files{"ca.crt": ca}, false},
		"without the port":             {open, "127.0.0.1", files{"ca.crt": ca}, false},
		"a client's":                   {mutual, mutual, files{"ca.crt": ca, "client.cert": cert, "client.key": key}, true},
		"a client's, by another name":  {mutual, mutual, files{"ca.crt": ca, "me.cert": cert, "me.key": key}, true},
		"a client's, not there":        {mutual, mutual, files{"ca.crt": ca}, false},
		"a client's, that is not ours": {mutual, mutual, files{"ca.crt": ca, "client.cert": foreign, "client.key": foreignKey}, false},
	} {
		o := quick()
		o.Certs = []string{t.TempDir(), filepath.Join(t.TempDir(), "none"), certsDir(t, c.named, c.files)}
		got, err := Digest(context.Background(), mustRef(t, c.host+"/a:1"), o)
		var hinted interface{ Hint() string }
		if c.named == mutual && !c.ok && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "certs.d")) {
			t.Errorf("%s: %v has no hint", name, err)
		}
		if (err == nil) != c.ok || c.ok && got != want || IsAbsence(err) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if !c.ok {
			continue
		}
		o.Insecure = true
		pullAll(t, mustRef(t, c.host+"/a:1"), img, o)
	}
}

// What is broken is named, and no absence of the registry.
func TestBrokenCertsAreNamed(t *testing.T) {
	cert, key := pemOf(t, certificate(t, "me", time.Now().AddDate(1, 0, 0)))
	_, another := pemOf(t, certificate(t, "me", time.Now().AddDate(1, 0, 0)))
	at := tlsHost(t, nil, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		files map[string][]byte
		named string
	}{
		"no certificate":        {map[string][]byte{"ca.crt": []byte("x")}, "ca.crt"},
		"an empty one":          {map[string][]byte{"ca.crt": nil}, "ca.crt"},
		"a key for a CA":        {map[string][]byte{"ca.crt": key}, "ca.crt"},
		"no key":                {map[string][]byte{"client.cert": cert}, "client.cert"},
		"a key only":            {map[string][]byte{"client.key": key}, "client.key"},
		"another key":           {map[string][]byte{"client.cert": cert, "client.key": another}, "client.cert"},
		"a certificate for key": {map[string][]byte{"client.cert": cert, "client.key": cert}, "client.cert"},
	} {
		o := quick()
		o.Certs = []string{certsDir(t, at, c.files)}
		_, err := Digest(context.Background(), mustRef(t, at+"/a:1"), o)
		var ce *ConfigError
		if !errors.As(err, &ce) || filepath.Base(ce.Path) != c.named || IsAbsence(err) || !strings.Contains(err.Error(), o.Certs[0]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertNames(t *testing.T) {
	for host, want := range map[string]string{
		"r.example": "r.example r.example:443", "r.example:443": "r.example:443 r.example", "r.example:5000": "r.example:5000",
		"index.docker.io": "index.docker.io index.docker.io:443 docker.io",
	} {
		if got := strings.Join(certNames(host), " "); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
