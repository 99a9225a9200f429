// This file owns what a command line finds: registries of several kinds, git, a web server, and directories.

package testkaniko

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/gbuild/gbuild/internal/testimage"
)

// world is what one command line finds. It is new for each.
type world struct {
	dir     string // everybody may enter it
	names   map[string]string
	store   http.Handler // one store behind the registries of all kinds
	served  []*httptest.Server
	failing sync.Mutex
	failed  map[string]bool // what has failed once, as it was to
}

// credentials of $PRIVATE and $SECRET_GIT.
const user, secret = "ci", "s3cret"

func newWorld(t *testing.T, l line) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "gbuild-kaniko-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, store: registry.New(registry.Logger(log.New(io.Discard, "", 0))), failed: map[string]bool{}}
	t.Cleanup(func() {
		for _, server := range w.served {
			server.Close()
		}
		os.RemoveAll(dir)
	})
	w.names = map[string]string{"PROJECT": w.at("project"), "OUT": w.at("out"), "CERTS": w.at("certs"), "TARBALL": w.at("tarball/app.tar.gz")}
	if err := errors.Join(os.Chmod(dir, 0o755), w.addServers(), w.addBases(), w.addContext(l.Context), w.addLogin(l)); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) at(name string) string { return filepath.Join(w.dir, name) }

// addServers starts them. 127.0.0.2 and above are loopback as well, and kaniko takes them for the names of other machines.
func (w *world) addServers() error {
	for _, name := range []string{"project", "out", "certs", "tarball", "login", "home", "git"} {
		if err := os.Mkdir(w.at(name), 0o755); err != nil {
			return err
		}
	}
	ca, certificate, err := w.addCertificates()
	if err != nil {
		return err
	}
	store := http.HandlerFunc(w.serveImages)
	web := http.HandlerFunc(w.serveFiles)
	git := w.gitHandler()
	for name, server := range map[string]struct {
		address string
		handler http.Handler
		tls     *tls.Config
	}{
		"REGISTRY":   {"127.0.0.1", store, nil},
		"FAR":        {"127.0.0.2", store, nil},
		"PRIVATE":    {"127.0.0.1", guarded(store), nil},
		"TLS":        {"127.0.0.3", store, &tls.Config{Certificates: []tls.Certificate{certificate}}},
		"MUTUAL":     {"127.0.0.4", store, &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca}},
		"WEB":        {"127.0.0.1", web, nil},
		"TLS_WEB":    {"127.0.0.3", web, &tls.Config{Certificates: []tls.Certificate{certificate}}},
		"GIT":        {"127.0.0.1", git, nil},
		"SECRET_GIT": {"127.0.0.1", guarded(git), nil},
	} {
		listener, err := net.Listen("tcp", server.address+":0")
		if err != nil {
			return err
		}
		s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: server.handler, ErrorLog: log.New(io.Discard, "", 0)}, TLS: server.tls}
		if server.tls != nil {
			s.StartTLS()
		} else {
			s.Start()
		}
		w.served = append(w.served, s)
		w.names[name] = listener.Addr().String()
		if strings.Contains(name, "WEB") {
			w.names[name] = s.URL
		}
	}
	w.names["CLOSED"] = "127.0.0.1:1"
	return nil
}

// guarded asks for the credentials. A git token is a user without a password.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		if name != secret && (name != user || password != secret) {
			rw.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(rw, r)
	})
}

// serveImages is the registry. Its repositories below denied take nothing, those below immutable take no tag, and those below flaky
// fail at first.
func (w *world) serveImages(rw http.ResponseWriter, r *http.Request) {
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	refuse := func(status int, code, message string) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		fmt.Fprintf(rw, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
	}
	switch {
	case write && strings.HasPrefix(r.URL.Path, "/v2/denied/"):
		refuse(http.StatusForbidden, "DENIED", "requested access to the resource is denied")
	case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v2/immutable/") && strings.Contains(r.URL.Path, "/manifests/"):
		refuse(http.StatusBadRequest, "TAG_INVALID", "The image tag '1' already exists in the 'app' repository and cannot be overwritten because the repository is immutable.")
	case write && strings.HasPrefix(r.URL.Path, "/v2/flaky/") && w.first(r.Method):
		refuse(http.StatusServiceUnavailable, "UNAVAILABLE", "try again")
	default:
		w.store.ServeHTTP(rw, r)
	}
}

func (w *world) first(what string) bool {
	w.failing.Lock()
	defer w.failing.Unlock()
	defer func() { w.failed[what] = true }()
	return !w.failed[what]
}

// serveFiles has the context as a tar under any name that ends as one, as buckets have it, and its files below /app.
func (w *world) serveFiles(rw http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".tar.gz") {
		http.ServeFile(rw, r, w.names["TARBALL"])
		return
	}
	http.StripPrefix("/app", http.FileServer(http.Dir(w.names["PROJECT"]))).ServeHTTP(rw, r)
}

// gitHandler serves the repositories below git, by git itself.
func (w *world) gitHandler() http.Handler {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return http.NotFoundHandler()
	}
	return &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + w.at("git"), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
}

// addBases puts the images that Dockerfiles begin with where each kind of registry has them: they share their store.
func (w *world) addBases() error {
	shell, err := testimage.Shell()
	if err != nil {
		return err
	}
	host := w.names["REGISTRY"]
	for _, repository := range []string{"base", "library/base"} {
		if err := testimage.Push(context.Background(), host+"/"+repository+":1", shell); err != nil {
			return err
		}
	}
	index := mutate.AppendManifests(empty.Index)
	for _, arch := range []string{"amd64", "arm64"} {
		config, err := shell.ConfigFile()
		if err != nil {
			return err
		}
		config = config.DeepCopy()
		config.Architecture = arch
		img, err := mutate.ConfigFile(shell, config)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	return pushIndex(host+"/both:1", index)
}

// addContext makes $PROJECT, a tar of it, and a repository with two branches, a tag and an older commit.
func (w *world) addContext(name string) error {
	var pairs []string
	for _, kind := range []string{"REGISTRY", "FAR", "TLS", "MUTUAL", "PRIVATE"} {
		pairs = append(pairs, "FROM "+kind+"/", "FROM "+w.names[kind]+"/")
	}
	if err := plant(w.names["PROJECT"], name, strings.NewReplacer(pairs...)); err != nil {
		return err
	}
	packed, err := packDir(w.names["PROJECT"])
	if err == nil {
		err = os.WriteFile(w.names["TARBALL"], packed, 0o644)
	}
	if err != nil {
		return err
	}
	const script = `set -e
git init -q -b main work; cd work; cp -R "$1/." .
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com
git add -A; git commit -q -m first; git rev-parse HEAD
git tag v1; echo more > more.txt; git add -A; git commit -q -m second
git checkout -q -b release; [ ! -f settings.txt ] || echo colour=red > settings.txt; git add -A; git commit -q --allow-empty -m third; git checkout -q main
cd ..; git clone -q --bare work app.git`
	repository := exec.Command("sh", "-c", script, "sh", w.names["PROJECT"])
	repository.Dir = w.at("git")
	repository.Env = []string{"HOME=" + w.at("home"), "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null"}
	out, err := repository.CombinedOutput()
	if err != nil {
		return fmt.Errorf("making a repository: %w: %s", err, out)
	}
	w.names["FIRST_COMMIT"] = strings.TrimSpace(string(out))
	return nil
}

// addLogin writes the file of credentials, which has those for $PRIVATE if the line is to have them.
func (w *world) addLogin(l line) error {
	text := "{}"
	if l.Login {
		password := secret
		if l.Env["PASSWORD"] != "" {
			password = l.Env["PASSWORD"]
		}
		text = fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.names["PRIVATE"], base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	return os.WriteFile(w.at("login/config.json"), []byte(text), 0o644)
}

// packDir is a directory as a compressed tar.
func packDir(dir string) ([]byte, error) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	err := errors.Join(archive.AddFS(os.DirFS(dir)), archive.Close(), zip.Close())
	return packed.Bytes(), err
}

// addCertificates makes an authority, a certificate for the servers and one for clients, and writes them to $CERTS.
func (w *world) addCertificates() (*x509.CertPool, tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 3), net.IPv4(127, 0, 0, 4)}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})
	for name, data := range map[string][]byte{"ca.crt": certPEM, "client.crt": certPEM, "client.key": keyPEM} {
		if err := os.WriteFile(filepath.Join(w.names["CERTS"], name), data, 0o644); err != nil {
			return nil, tls.Certificate{}, err
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	return pool, certificate, err
}
