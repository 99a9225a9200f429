package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// host is a registry in this process that logs requests and lets a test answer some of them itself.
type host struct {
	*httptest.Server
	inner http.Handler
	mu    sync.Mutex
	log   []string
	hook  func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.log = append(h.log, r.Method+" "+r.URL.RequestURI())
		hook := h.hook
		h.mu.Unlock()
		if hook == nil || !hook(w, r) {
			h.inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *host) ref(t *testing.T, repo string) Ref {
	t.Helper()
	return mustRef(t, strings.TrimPrefix(h.URL, "http://")+"/"+repo)
}

// on sets the hook and forgets the log.
func (h *host) on(hook func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hook, h.log = hook, nil
}

func (h *host) count(prefix string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, l := range h.log {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func mustRef(t *testing.T, s string) Ref {
	t.Helper()
	r, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quick are options for tests that fail on purpose.
func quick() Options {
	return Options{patience: wire.Patience{Pause: time.Millisecond, Stall: 300 * time.Millisecond}}
}

func quickWrite() WriteOptions { return WriteOptions{Options: quick()} }

func randomImage(t *testing.T, size int64, layers int) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for range layers {
		l, err := random.Layer(size, types.OCILayer)
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: l}); err != nil {
			t.Fatal(err)
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = "linux", "amd64"
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return img
}

func write(t *testing.T, r Ref, img v1.Image, o WriteOptions) v1.Hash {
	t.Helper()
	h, err := Write(context.Background(), r, img, o)
	if err != nil {
		t.Fatalf("Write(%s): %v", r, err)
	}
	want, _ := img.Digest()
	if h != want {
		t.Fatalf("Write(%s) = %s, want %s", r, h, want)
	}
	return h
}

// sameImage opens r, validates what is there and compares it with img.
func sameImage(t *testing.T, r Ref, img v1.Image) v1.Image {
	t.Helper()
	got, err := Open(context.Background(), r, quick())
	if err != nil {
		t.Fatalf("Open(%s): %v", r, err)
	}
	if err := validate.Image(got); err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	g, _ := got.Digest()
	w, _ := img.Digest()
	if g != w {
		t.Fatalf("%s: digest %s, want %s", r, g, w)
	}
	return got
}

func TestRoundTrips(t *testing.T) {
	img := randomImage(t, 100_000, 3)
	dir := t.TempDir()
	h := newHost(t)
	tests := []struct {
		write, read string
		tags        []string
	}{
		{h.ref(t, "a/b:v1").String(), "", nil},
		{"oci:" + dir + "/layout", "", nil},
		{"oci:" + dir + "/named:v1", "", nil},
		{"oci:" + dir + "/named:v2", "oci:" + dir + "/named:v1", nil},
		{"oci-archive:" + dir + "/a.tar", "oci-archive:" + dir + "/a.tar:x/y:1", []string{"x/y:1", "z:2"}},
		{"oci-archive:" + dir + "/a.tar:v1", "", nil},
		{"docker-archive:" + dir + "/d.tar", "docker-archive:" + dir + "/d.tar:z:2", []string{"x/y:1", "z:2"}},
		{"docker-archive:" + dir + "/e.tar:app:1", "docker-archive:" + dir + "/e.tar", nil},
	}
	for _, tt := range tests {
		t.Run(tt.write, func(t *testing.T) {
			o := quickWrite()
			o.Tags = tt.tags
			r := mustRef(t, tt.write)
			want := write(t, r, img, o)
			if tt.read != "" {
				r = mustRef(t, tt.read)
			}
			sameImage(t, r, img)
			if got, err := Digest(context.Background(), r, quick()); err != nil || got != want {
				t.Errorf("Digest(%s) = %s, %v", r, got, err)
			}
		})
	}
}

func TestArchiveIsDeterministicAndGoesToStdout(t *testing.T) {
	img := randomImage(t, 10_000, 2)
	var a, b bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		o := quickWrite()
		o.Output, o.Tags = w, []string{"app:1"}
		write(t, mustRef(t, "docker-archive:-"), img, o)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two writes of one image differ")
	}
	file := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(file, a.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	sameImage(t, mustRef(t, "docker-archive:"+file), img)
	if _, err := Write(context.Background(), mustRef(t, "oci-archive:-"), img, quickWrite()); err == nil {
		t.Error("no error without an Output")
	}
}

func TestProgressAddsUp(t *testing.T) {
	img := randomImage(t, 50_000, 2)
	h := newHost(t)
	var done, total int64
	o := quickWrite()
	o.Report = func(d, n int64) { done, total = d, n }
	write(t, h.ref(t, "a:1"), img, o)
	if done != total || total < 100_000 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
}

// A certificate that nobody vouches for is refused, and accepted with Insecure.
func TestUntrustedCertificate(t *testing.T) {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewTLSServer(inner)
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	r := mustRef(t, strings.TrimPrefix(s.URL, "https://")+"/a:1")
	img := randomImage(t, 1000, 1)
	_, err := Write(context.Background(), r, img, quickWrite())
	var re *RegistryError
	if !errors.As(err, &re) || !strings.Contains(re.Hint(), "--insecure") {
		t.Errorf("Write: %v", err)
	}
	o := quickWrite()
	o.Insecure = true
	write(t, r, img, o)
}

// A mirror that is dead is passed over.
func TestMirrorsComeFirst(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	write(t, h.ref(t, "library/app:1"), img, quickWrite())
	o := quick()
	dead := httptest.NewServer(nil)
	dead.Close()
	o.Mirrors = hubMirrors(strings.TrimPrefix(dead.URL, "http://"), strings.TrimPrefix(h.URL, "http://"))
	got, err := Open(context.Background(), mustRef(t, "app:1"), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
}
