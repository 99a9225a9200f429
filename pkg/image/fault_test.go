package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// firstTimes answers the first n requests that match, each with answer.
func firstTimes(n int32, match func(*http.Request) bool, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	var seen atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !match(r) || seen.Add(1) > n {
			return false
		}
		answer(w, r)
		return true
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func is(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, part) }
}

func hang(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(5 * time.Second):
	}
}

func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestPullSurvives(t *testing.T) {
	img := randomImage(t, 300_000, 2)
	h := newHost(t)
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	anything := func(*http.Request) bool { return true }
	tests := map[string]func(http.ResponseWriter, *http.Request) bool{
		"429":              firstTimes(2, is("GET", "/manifests/"), status(429)),
		"503 at the ping":  firstTimes(2, anything, status(503)),
		"500 on blobs":     firstTimes(4, is("GET", "/blobs/"), status(500)),
		"reset":            firstTimes(3, is("GET", "/blobs/"), reset),
		"hang":             firstTimes(1, is("GET", "/blobs/"), hang),
		"cut in the body":  cutter(h, 3, true),
		"cut, no ranges":   cutter(h, 3, false),
		"stall in a body":  firstTimes(1, is("GET", "/blobs/"), stallAfter(1000)),
		"retry after date": firstTimes(1, is("GET", "/blobs/"), retryLater(time.Now().UTC().Format(http.TimeFormat))),
	}
	for name, hook := range tests {
		t.Run(name, func(t *testing.T) {
			h.on(hook)
			sameImage(t, r, img)
		})
	}
}

func retryLater(when string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", when)
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// stallAfter sends some bytes of a blob and then nothing.
func stallAfter(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 0, n))
		w.(http.Flusher).Flush()
		hang(w, r)
	}
}

// cutter breaks the connection in the middle of large answers. Without ranges, it hides Range from the registry, which
// then sends everything again.
func cutter(h *host, cuts int32, ranges bool) func(http.ResponseWriter, *http.Request) bool {
	var seen atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !is("GET", "/blobs/")(r) {
			return false
		}
		if !ranges {
			r.Header.Del("Range")
		}
		whole := httptest.NewRecorder()
		h.inner.ServeHTTP(whole, r)
		if whole.Body.Len() < 10_000 || seen.Add(1) > cuts {
			return false
		}
		for k, v := range whole.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestPullResumesByRange(t *testing.T) {
	img := randomImage(t, 2_000_000, 1)
	h := newHost(t)
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	var resumed atomic.Int32
	cuts := cutter(h, 2, true)
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			resumed.Add(1)
		}
		return cuts(w, r)
	})
	got, err := Open(context.Background(), r, quick())
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := got.Layers()
	if err := validate.Layer(layers[0]); err != nil {
		t.Fatal(err)
	}
	if n := resumed.Load(); n != 2 {
		t.Errorf("%d requests with a Range, want 2", n)
	}
}

func TestPullRefuses(t *testing.T) {
	img := randomImage(t, 1000, 1)
	h := newHost(t)
	write(t, h.ref(t, "a:1"), img, quickWrite())
	digest, _ := img.Digest()
	body := func(mediaType, s string) func(http.ResponseWriter, *http.Request) bool {
		return firstTimes(99, is("GET", "/manifests/"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = fmt.Fprint(w, s)
		})
	}
	const manifest = "application/vnd.docker.distribution.manifest.v2+json"
	tests := []struct {
		name, ref, want, hint string
		hook                  func(http.ResponseWriter, *http.Request) bool
	}{
		{"missing tag", "a:2", "not found", "spelling", nil},
		{"missing repository", "b:2", "not found", "spelling", nil},
		{"401 for ever", "a:1", "needs a login", "no credentials", firstTimes(999, is("GET", "/manifests/"), status(401))},
		{"403", "a:1", "refused access", "no credentials", firstTimes(999, is("GET", "/manifests/"), status(403))},
		{"500 for ever", "a:1", "500", "try again later", firstTimes(999, is("GET", "/manifests/"), status(500))},
		{"schema 1", "a:1", "schema 1", "push it again", body("application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`)},
		{"pinned to other bytes", "a@" + digest.String(), "corrupt", "other bytes", body(manifest, `{"schemaVersion":2}`)},
		{"index and image", "a:1", "at once", "trust", body("", `{"schemaVersion":2,"manifests":[],"layers":[]}`)},
		{"wrong media type", "a:1", "calls itself", "trust", body(manifest, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)},
		{"no json", "a:1", "no JSON", "registry", body("text/html", `<html>`)},
		{"null", "a:1", "no config", "", body("", `null`)},
		{"artifact", "a:1", "artifact", "", body("", `{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","size":2,"digest":"`+someDigest+`"},"layers":[]}`)},
		{"huge", "a:1", "larger than 4 MiB", "", body(manifest, `{"a":"`+strings.Repeat("x", 5<<20)+`"}`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.on(tt.hook)
			_, err := Open(context.Background(), h.ref(t, tt.ref), quick())
			var hinted interface{ Hint() string }
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tt.hint) {
				t.Fatalf("Open: %v, want %q with hint %q", err, tt.want, tt.hint)
			}
		})
	}
}

func TestCorruptBlobsAreRefused(t *testing.T) {
	img := randomImage(t, 50_000, 1)
	h := newHost(t)
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	layers, _ := img.Layers()
	layer, _ := layers[0].Digest()
	size, _ := layers[0].Size()
	for name, n := range map[string]int64{"same size": size, "short": size - 1, "long": size + 1} {
		t.Run(name, func(t *testing.T) {
			h.on(firstTimes(99, is("GET", "/blobs/"+layer.String()), func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(make([]byte, n))
			}))
			got, err := Open(context.Background(), r, quick())
			if err != nil {
				t.Fatal(err)
			}
			var de *DigestError
			if err := validate.Image(got); err == nil {
				t.Error("corrupt layer passes")
			}
			ls, _ := got.Layers()
			rc, err := ls[0].Compressed()
			if err == nil {
				_, err = rc.Read(make([]byte, 1<<20))
				for err == nil {
					_, err = rc.Read(make([]byte, 1<<20))
				}
			}
			// A short body is taken for a cut, and asked for again until patience ends.
			if err == io.EOF || name != "short" && !errors.As(err, &de) {
				t.Errorf("reading: %v, want a DigestError", err)
			}
		})
	}
}

func TestPushSurvives(t *testing.T) {
	h := newHost(t)
	tests := map[string]func(http.ResponseWriter, *http.Request) bool{
		"503 on start":         firstTimes(2, is("POST", "/uploads/"), status(503)),
		"404 mid-way":          firstTimes(2, is("PATCH", "/uploads/"), status(404)),
		"500 on bytes":         firstTimes(1, is("PATCH", "/uploads/"), status(500)),
		"reset on bytes":       firstTimes(1, is("PATCH", "/uploads/"), reset),
		"500 on commit":        firstTimes(1, is("PUT", "/uploads/"), status(500)),
		"429 on the manifest":  firstTimes(2, is("PUT", "/manifests/"), retryLater("0")),
		"HEAD of blobs lies":   firstTimes(3, is("HEAD", "/blobs/"), status(200)),
		"manifest lacks blobs": firstTimes(1, is("PUT", "/manifests/"), blobUnknown),
		"manifest is invalid":  firstTimes(1, is("PUT", "/manifests/"), manifestInvalid),
		"422 on the manifest":  firstTimes(1, is("PUT", "/manifests/"), status(422)),
	}
	for name, hook := range tests {
		t.Run(name, func(t *testing.T) {
			img := randomImage(t, 100_000, 2)
			if name == "HEAD of blobs lies" {
				lies := hook
				missing := firstTimes(1, is("PUT", "/manifests/"), blobUnknown)
				hook = func(w http.ResponseWriter, r *http.Request) bool { return lies(w, r) || missing(w, r) }
			}
			h.on(hook)
			r := h.ref(t, "p:1")
			write(t, r, img, quickWrite())
			sameImage(t, r, img)
		})
	}
}

func manifestInvalid(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}`)
}

func blobUnknown(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}`)
}

// Of the layers that the tag's image had before, the registry is asked nothing, if its manifest is here.
func TestPushKnowsWhatTheTagHad(t *testing.T) {
	h := newHost(t)
	r := h.ref(t, "a:1")
	old := randomImage(t, 100_000, 3)
	write(t, r, old, quickWrite())
	extra, _ := randomImage(t, 1000, 1).Layers()
	img, err := mutate.AppendLayers(old, extra...)
	if err != nil {
		t.Fatal(err)
	}
	o := quickWrite()
	o.Manifest = func(want v1.Hash) []byte {
		if got, _ := old.Digest(); got != want {
			return nil
		}
		raw, _ := old.RawManifest()
		return raw
	}
	for name, hook := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"they are there": nil,
		"they are gone":  firstTimes(1, is("PUT", "/manifests/"), blobUnknown),
	} {
		t.Run(name, func(t *testing.T) {
			h.on(nil)
			write(t, r, old, quickWrite())
			h.on(hook)
			write(t, r, img, o)
			if n := h.count("HEAD /v2/a/blobs/"); n != 2 {
				t.Errorf("%d blobs were asked for, want the new layer and the config", n)
			}
			sameImage(t, r, img)
		})
	}
}

func TestPushRefusals(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	tests := []struct {
		name, ref, hint string
		hook            func(http.ResponseWriter, *http.Request) bool
	}{
		{"immutable tag", "a:1", "immutable", firstTimes(99, is("PUT", "/manifests/"), status(409))},
		{"forbidden", "secret:1", "log in", firstTimes(99, is("POST", "/uploads/"), status(403))},
		{"tag and digest", "a:1@" + someDigest, "image name is", nil},
		{"other digest", "a@" + someDigest, "other bytes", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.on(lacking("secret", tt.hook))
			_, err := Write(context.Background(), h.ref(t, tt.ref), img, quickWrite())
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tt.hint) {
				t.Fatalf("Write: %v, want hint %q", err, tt.hint)
			}
		})
	}
}

// lacking says that a repository has no blob yet: the registry of these tests keeps one set for all repositories.
func lacking(repo string, more func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if is("HEAD", "/v2/"+repo+"/blobs/")(r) {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return more != nil && more(w, r)
	}
}

func TestPushMountsAndSkips(t *testing.T) {
	h := newHost(t)
	base := randomImage(t, 100_000, 3)
	write(t, h.ref(t, "base:1"), base, quickWrite())
	opened := sameImage(t, h.ref(t, "base:1"), base)
	extra, _ := randomImage(t, 1000, 1).Layers()
	img, err := mutate.AppendLayers(opened, extra...)
	if err != nil {
		t.Fatal(err)
	}
	h.on(lacking("app", firstTimes(3, func(r *http.Request) bool { return r.URL.Query().Get("mount") != "" }, status(201))))
	write(t, h.ref(t, "app:1"), img, quickWrite())
	if n := h.count("POST /v2/app/blobs/uploads/?from=base&mount="); n != 3 {
		t.Errorf("%d mounts, want 3", n)
	}
	if n := h.count("GET /v2/base/blobs/"); n != 0 {
		t.Errorf("%d base layers were read", n)
	}
	h.on(nil)
	write(t, h.ref(t, "app:2"), img, quickWrite())
	if n := h.count("POST ") + h.count("PATCH "); n != 0 {
		t.Errorf("second push sent %d uploads", n)
	}
	sameImage(t, h.ref(t, "app:2"), img)
}

func TestLayerBySource(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 10_000, 2)
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	m, _ := img.Manifest()
	l, err := Layer(context.Background(), r.Name(), m.Layers[1], quick())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Layer(l); err != nil {
		t.Error(err)
	}
}

func TestIndexChoosesPlatform(t *testing.T) {
	h := newHost(t)
	amd, arm := randomImage(t, 100, 1), randomImage(t, 100, 1)
	write(t, h.ref(t, "m:amd"), amd, quickWrite())
	write(t, h.ref(t, "m:arm"), arm, quickWrite())
	attestation := v1.Platform{OS: "unknown", Architecture: "unknown"}
	idx := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &attestation}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}}},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	raw, _ := idx.RawManifest()
	h.on(firstTimes(99, is("GET", "/manifests/1"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = w.Write(raw)
	}))
	o := quick()
	for arch, want := range map[string]v1.Image{"amd64": amd, "arm": arm} {
		o.Platform = &v1.Platform{OS: "linux", Architecture: arch}
		got, err := Open(context.Background(), h.ref(t, "m:1"), o)
		if err != nil {
			t.Fatal(err)
		}
		g, _ := got.Digest()
		w, _ := want.Digest()
		if g != w {
			t.Errorf("%s: %s, want %s", arch, g, w)
		}
	}
	o.Platform = &v1.Platform{OS: "linux", Architecture: "s390x"}
	_, err := Open(context.Background(), h.ref(t, "m:1"), o)
	var pe *PlatformError
	if !errors.As(err, &pe) || len(pe.Have) != 2+1 && !strings.Contains(pe.Hint(), "linux/amd64") {
		t.Errorf("Open: %v", err)
	}
	if strings.Contains(pe.Hint(), "unknown") {
		t.Errorf("attestation is offered: %s", pe.Hint())
	}
}
