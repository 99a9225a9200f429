// This file owns a registry on loopback.

package testimage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Fault decides what becomes of a request to a Registry: it answers it and returns true, or returns false and leaves it
// to the registry.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Registry is a registry in this process, on loopback, over plain http.
type Registry struct {
	server *httptest.Server
	store  http.Handler
	mu     sync.Mutex
	log    []string
	fault  Fault
}

// NewRegistry starts an empty registry; Close ends it.
func NewRegistry() *Registry {
	r := &Registry{store: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if fault := r.record(req); fault == nil || !fault(w, req) {
			r.store.ServeHTTP(w, req)
		}
	}))
	return r
}

// Host is the registry's HOST:PORT.
func (r *Registry) Host() string { return strings.TrimPrefix(r.server.URL, "http://") }

// Close stops the registry.
func (r *Registry) Close() { r.server.Close() }

// Requests returns what was asked since the last call, as "METHOD PATH[?QUERY]".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.log
	r.log = nil
	return log
}

// SetFault lets f see each request first; nil ends that.
func (r *Registry) SetFault(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// record notes a request, and says what is to go wrong with it.
func (r *Registry) record(req *http.Request) Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, req.Method+" "+req.URL.RequestURI())
	return r.fault
}

// Put stores img as repository[:tag] and returns its full reference.
func (r *Registry) Put(ctx context.Context, repository string, img v1.Image) (string, error) {
	ref := r.Host() + "/" + repository
	return ref, Push(ctx, ref, img)
}

// Push writes img to any registry that speaks plain http or is trusted, as ggcr's own client does.
func Push(ctx context.Context, ref string, img v1.Image) error {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	if err := remote.Write(parsed, img, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing %s: %w", ref, err)
	}
	return nil
}

// FailTimes answers the first n requests whose "METHOD PATH" contains match with status, and leaves the rest alone.
func FailTimes(n int, match string, status int) Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || !strings.Contains(r.Method+" "+r.URL.Path, match) {
			return false
		}
		n--
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "0")
		}
		http.Error(w, fmt.Sprintf(`{"errors":[{"code":"UNAVAILABLE","message":"fault of the test, %d left"}]}`, n), status)
		return true
	}
}

// Login refuses every request that does not bring this user's password.
func Login(user, password string) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, _ := r.BasicAuth(); u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}`, http.StatusUnauthorized)
		return true
	}
}

// SpoilLayers changes the last byte of every compressed layer that is read.
func (r *Registry) SpoilLayers() {
	r.SetFault(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/blobs/") {
			return false
		}
		answer := httptest.NewRecorder()
		r.store.ServeHTTP(answer, req)
		body := answer.Body.Bytes()
		if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			return false
		}
		body[len(body)-1]++
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
		return true
	})
}

// Truncate answers GET requests of blobs with a body that ends too early, n times.
func Truncate(n int) Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		n--
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(make([]byte, 100))
		panic(http.ErrAbortHandler) // the way to drop the connection, by net/http's documentation
	}
}
