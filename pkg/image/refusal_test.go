package image

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/klauspost/compress/zstd"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

type hook = func(http.ResponseWriter, *http.Request) bool

// strict keeps what each repository has apart, as real registries do, and takes no manifest whose blobs are not there.
type strict struct {
	h     *host
	mu    sync.Mutex
	has   map[string]bool // repository and digest
	fault hook            // may answer before it
}

func newStrict(t *testing.T) (*host, *strict) {
	h := newHost(t)
	s := &strict{h: h, has: map[string]bool{}}
	h.on(s.answer)
	return h, s
}

// steady waits long for bytes, where nothing hangs on purpose: many of these tests run at a time.
func steady() WriteOptions {
	return WriteOptions{Options: Options{patience: wire.Patience{Pause: time.Millisecond, Stall: 20 * time.Second}}}
}

func (s *strict) holds(repo, digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has[repo+" "+digest]
}

func (s *strict) add(repo, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has[repo+" "+digest] = true
}

func (s *strict) answer(w http.ResponseWriter, r *http.Request) bool {
	if s.fault != nil && s.fault(w, r) {
		return true
	}
	return s.real(w, r)
}

// real is the registry without faults.
func (s *strict) real(w http.ResponseWriter, r *http.Request) bool {
	repo, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	q := r.URL.Query()
	switch {
	case strings.HasPrefix(rest, "blobs/sha256:") && !s.holds(repo, rest[len("blobs/"):]):
		w.WriteHeader(http.StatusNotFound)
		return true
	case r.Method == "POST" && s.holds(q.Get("from"), q.Get("mount")):
		s.add(repo, q.Get("mount"))
		w.WriteHeader(http.StatusCreated)
		return true
	case r.Method == "POST" && q.Get("mount") != "":
		r.URL.RawQuery = ""
	case (r.Method == "PUT" || r.Method == "POST") && strings.HasPrefix(rest, "blobs/uploads/") && q.Get("digest") != "":
		rec := httptest.NewRecorder()
		s.h.inner.ServeHTTP(rec, r)
		if rec.Code == http.StatusCreated {
			s.add(repo, q.Get("digest"))
		}
		copyAnswer(w, rec, rec.Code, rec.Body.Bytes())
		return true
	case r.Method == "PUT" && strings.HasPrefix(rest, "manifests/"):
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		var m v1.Manifest
		_ = json.Unmarshal(raw, &m)
		for _, d := range append(m.Layers, m.Config) {
			if !s.holds(repo, d.Digest.String()) {
				blobUnknown(w, r)
				return true
			}
		}
	}
	return false
}

func copyAnswer(w http.ResponseWriter, rec *httptest.ResponseRecorder, code int, body []byte) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// changed answers what matches as the registry would, but for what change makes of it.
func (s *strict) changed(match func(*http.Request) bool, change func(http.ResponseWriter, *httptest.ResponseRecorder)) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !match(r) {
			return false
		}
		rec := httptest.NewRecorder()
		if !s.real(rec, r) {
			s.h.inner.ServeHTTP(rec, r)
		}
		change(w, rec)
		return true
	}
}

func always(match func(*http.Request) bool, answer http.HandlerFunc) hook {
	return firstTimes(1<<30, match, answer)
}

func mounts(r *http.Request) bool { return r.URL.Query().Get("mount") != "" }

// wholes are uploads with the request that commits them; commits have no bytes.
func wholes(r *http.Request) bool { return is("PUT", "/blobs/uploads/")(r) && r.ContentLength > 0 }

// refusals are answers of registries that do not have what is asked for.
var refusals = []int{400, 401, 403, 404, 405, 406, 410, 411, 415, 416, 422, 500, 501, 503}

// pushRefusals has one row for each way to save requests or bytes, and each way to be refused it.
func pushRefusals(s *strict) map[string]hook {
	rows := map[string]hook{
		"nothing refused":                nil,
		"mount claimed, not there":       always(mounts, status(201)),
		"mount accepted, other location": s.changed(mounts, elsewhere),
		"mount breaks":                   firstTimes(9, mounts, reset),
		"mount hangs":                    firstTimes(2, mounts, hang),
		"mount limited":                  firstTimes(3, mounts, retryLater("0")),
		"HEAD of blobs lies":             always(is("HEAD", "/blobs/"), status(200)),
		"HEAD of blobs breaks once":      firstTimes(2, is("HEAD", "/blobs/"), reset),
		"HEAD of manifest lies":          always(is("HEAD", "/manifests/"), status(200)),
		"manifest 200":                   s.changed(is("PUT", "/manifests/"), as(200)),
		"manifest 202":                   s.changed(is("PUT", "/manifests/"), as(202)),
		"manifest 204":                   s.changed(is("PUT", "/manifests/"), as(204)),
		"blob 200":                       s.changed(is("PUT", "/blobs/"), as(200)),
		"blob 202":                       s.changed(is("PUT", "/blobs/"), as(202)),
		"blob 204":                       s.changed(is("PUT", "/blobs/"), as(204)),
		"upload opened with 200":         s.changed(is("POST", "/blobs/"), as(200)),
		"upload opened with 201":         s.changed(func(r *http.Request) bool { return is("POST", "/blobs/")(r) && !mounts(r) }, as(201)),
		"no digest of the manifest":      s.changed(is("PUT", "/manifests/"), without("Docker-Content-Digest")),
		"no digest, and not to be read":  both(s.changed(is("PUT", "/manifests/"), without("Docker-Content-Digest")), both(always(is("HEAD", "/manifests/"), status(403)), always(is("GET", "/manifests/"), status(403)))),
		"no location of the rest":        s.changed(is("PATCH", "/blobs/"), without("Location")),
		"no location, but a name":        s.changed(is("POST", "/blobs/"), nameless),
		"no location at all": s.changed(func(r *http.Request) bool {
			return is("POST", "/blobs/")(r) && !strings.Contains(r.URL.RawQuery, "digest=")
		}, without("Location")),
		"absolute location":                 s.changed(is("POST", "/blobs/"), s.absolute),
		"location with a query":             s.changed(is("POST", "/blobs/"), withQuery),
		"429 on the bytes, for 1 s":         firstTimes(1, is("PATCH", "/blobs/"), retryLater("1")),
		"429 on the bytes, silly":           firstTimes(1, is("PATCH", "/blobs/"), retryLater("-7 fortnights")),
		"burst of 500":                      firstTimes(4, func(*http.Request) bool { return true }, status(500)),
		"burst of 503":                      firstTimes(4, func(r *http.Request) bool { return r.Method != "HEAD" }, status(503)),
		"manifest refused without a reason": firstTimes(1, is("PUT", "/manifests/"), status(404)),
	}
	for _, code := range refusals {
		rows[fmt.Sprintf("mount %d", code)] = always(mounts, status(code))
		rows[fmt.Sprintf("HEAD of blobs %d", code)] = always(is("HEAD", "/blobs/"), status(code))
		rows[fmt.Sprintf("HEAD of manifests %d", code)] = always(is("HEAD", "/manifests/"), status(code))
		rows[fmt.Sprintf("all HEAD %d", code)] = always(is("HEAD", ""), status(code))
	}
	for _, code := range []int{400, 404, 405, 411, 415, 416, 422, 501} {
		rows[fmt.Sprintf("bytes with the commit %d", code)] = always(wholes, status(code))
		rows[fmt.Sprintf("bytes before the commit %d", code)] = always(is("PATCH", "/blobs/"), status(code))
	}
	return rows
}

func both(a, b hook) hook {
	return func(w http.ResponseWriter, r *http.Request) bool { return a(w, r) || b(w, r) }
}

func as(code int) func(http.ResponseWriter, *httptest.ResponseRecorder) {
	return func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		if rec.Code < 300 {
			rec.Code = code
		}
		copyAnswer(w, rec, rec.Code, nil)
	}
}

func without(header string) func(http.ResponseWriter, *httptest.ResponseRecorder) {
	return func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		rec.Header().Del(header)
		copyAnswer(w, rec, rec.Code, rec.Body.Bytes())
	}
}

func nameless(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	at := rec.Header().Get("Location")
	rec.Header().Set("Docker-Upload-UUID", at[strings.LastIndex(at, "/")+1:])
	without("Location")(w, rec)
}

// elsewhere opens an upload where a mount is asked for, below another path.
func elsewhere(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
	w.Header().Set("Location", "/v2/app/blobs/uploads/from-elsewhere")
	w.WriteHeader(http.StatusAccepted)
}

func (s *strict) absolute(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	rec.Header().Set("Location", s.h.URL+rec.Header().Get("Location"))
	copyAnswer(w, rec, rec.Code, nil)
}

func withQuery(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	rec.Header().Set("Location", rec.Header().Get("Location")+"?state=a%2Bb&_x=1")
	copyAnswer(w, rec, rec.Code, nil)
}

// An optimisation that is refused never fails a push: the registry has the image at its end, whatever it says on the way. Each row
// is tried with a new repository, with one whose tag has an earlier image, and with layers that go ahead.
func TestRefusedOptimisationsOfPushes(t *testing.T) {
	for _, way := range []string{"new", "known", "ahead"} {
		rows := pushRefusals(&strict{})
		for name := range rows {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				h, s := newStrict(t)
				base := randomImage(t, 2000, 2)
				write(t, h.ref(t, "base:1"), base, quickWrite())
				opened := sameImage(t, h.ref(t, "base:1"), base)
				big, _ := randomImage(t, 70_000, 1).Layers()
				small, _ := randomImage(t, 1000, 1).Layers()
				img, err := mutate.AppendLayers(opened, append(big, small...)...)
				if err != nil {
					t.Fatal(err)
				}
				o := steady()
				if way == "known" {
					o.Manifest = earlier(t, h, s, opened)
				}
				if s.fault = pushRefusals(s)[name]; way == "ahead" {
					o.Ahead = sentAhead(t, h.ref(t, "app:1"), append(big, small...))
				}
				write(t, h.ref(t, "app:1"), img, o)
				s.fault = nil
				sameImage(t, h.ref(t, "app:1"), img)
			})
		}
	}
}

// earlier writes an image under the tag; its blobs are lost, which the registry does not say.
func earlier(t *testing.T, h *host, s *strict, base v1.Image) func(v1.Hash) []byte {
	t.Helper()
	write(t, h.ref(t, "app:1"), base, quickWrite())
	raw, _ := base.RawManifest()
	layers, _ := base.Layers()
	lost, _ := layers[0].Digest()
	s.mu.Lock()
	delete(s.has, "app "+lost.String())
	s.mu.Unlock()
	return func(v1.Hash) []byte { return raw }
}

func sentAhead(t *testing.T, r Ref, layers []v1.Layer) *Ahead {
	t.Helper()
	a := newAhead(t, r)
	a.Ask("1")
	for _, l := range layers {
		b := newSlow(t, l)
		close(b.grown)
		a.Send(b, false)
	}
	return a
}

// tokens is a registry whose token server looks at the scopes, and refuses those that name another repository with a status.
func tokens(h *host, greets bool, refuse int) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			if strings.Contains(r.URL.RawQuery, "base") && refuse != 0 {
				w.WriteHeader(refuse)
				return true
			}
			fmt.Fprint(w, `{"token":"app"}`)
			return true
		case greets && (r.URL.Path == "/v2/" || r.Method == "HEAD" || r.Method == "GET"):
			return false
		case r.Header.Get("Authorization") == "Bearer app" && !mounts(r):
			return false
		}
		scope := "repository:app:pull,push"
		if mounts(r) {
			scope += " repository:base:pull"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x",scope="%s"`, h.URL, scope))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

// A token that may not name the base's repository, or names it in vain, is no reason not to push.
func TestRefusedScopes(t *testing.T) {
	for _, anonymous := range []bool{true, false} {
		for _, greets := range []bool{true, false} {
			for _, refuse := range []int{0, 400, 401, 403, 404} {
				t.Run(fmt.Sprintf("anonymous %t, greets %t, %d", anonymous, greets, refuse), func(t *testing.T) {
					h, s := newStrict(t)
					base := randomImage(t, 2000, 2)
					write(t, h.ref(t, "base:1"), base, quickWrite())
					opened := sameImage(t, h.ref(t, "base:1"), base)
					extra, _ := randomImage(t, 1000, 1).Layers()
					img, err := mutate.AppendLayers(opened, extra...)
					if err != nil {
						t.Fatal(err)
					}
					wants := tokens(h, greets, refuse)
					s.fault = func(w http.ResponseWriter, r *http.Request) bool {
						return !is("GET", "/v2/base/")(r) && wants(w, r) // only the push is in question
					}
					o := steady()
					if !anonymous {
						o.Keychain = Keychain(configDir(t, nil, h.ref(t, "app:1").Host))
					}
					write(t, h.ref(t, "app:1"), img, o)
					s.fault = nil
					sameImage(t, h.ref(t, "app:1"), img)
				})
			}
		}
	}
}

// pullRefusals are the refusals of what a pull may do without: HEAD, parts, plain bytes.
func pullRefusals(h *host) map[string]hook {
	cuts := func(more hook) hook {
		c := cutter(h, 3, true)
		return func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Range") != "" && more(w, r) || c(w, r)
		}
	}
	ranged := func(answer http.HandlerFunc) hook {
		return cuts(func(w http.ResponseWriter, r *http.Request) bool { answer(w, r); return true })
	}
	rows := map[string]hook{
		"another part": ranged(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 7-9/300000")
			w.WriteHeader(206)
		}),
		"a part without a name": ranged(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206) }),
		"no digest":             noDigest(h),
		"gzip":                  encoding(h, "gzip"), "deflate": encoding(h, "deflate"), "zstd": encoding(h, "zstd"),
		"gzip that is cut": both(cutEncoded(h), encoding(h, "gzip")), "named gzip": encoding(h, "named"),
		"no length":           encoding(h, "chunked"),
		"limited by date":     firstTimes(2, is("GET", "/blobs/"), retryLater(time.Now().UTC().Format(http.TimeFormat))),
		"limited, no date":    firstTimes(2, is("GET", "/manifests/"), status(429)),
		"limited, silly":      firstTimes(2, is("GET", "/manifests/"), retryLater("99999999999999999999")), // no number that is taken for one
		"cut in the manifest": cutDocument(h),
	}
	for _, code := range refusals {
		rows[fmt.Sprintf("part %d", code)] = ranged(status(code))
		if code != 500 && code != 503 {
			rows[fmt.Sprintf("HEAD %d", code)] = always(is("HEAD", ""), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		}
	}
	return rows
}

func noDigest(h *host) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		rec := httptest.NewRecorder()
		h.inner.ServeHTTP(rec, r)
		rec.Header().Del("Docker-Content-Digest")
		copyAnswer(w, rec, rec.Code, rec.Body.Bytes())
		return true
	}
}

// encoding sends all documents and blobs encoded, whatever was asked for; "named" only says so.
func encoding(h *host, name string) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		rec := httptest.NewRecorder()
		h.inner.ServeHTTP(rec, r)
		if r.Method != "GET" || rec.Code != 200 {
			copyAnswer(w, rec, rec.Code, rec.Body.Bytes())
			return true
		}
		rec.Header().Del("Content-Length")
		raw := encode(name, rec.Body.Bytes())
		switch name {
		case "chunked":
			copyAnswer(w, rec, 200, raw[:1])
			w.(http.Flusher).Flush()
			_, _ = w.Write(raw[1:])
			return true
		case "named":
			if !strings.Contains(r.URL.Path, "/blobs/") {
				copyAnswer(w, rec, 200, raw)
				return true
			}
			rec.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			name = "gzip"
		}
		rec.Header().Set("Content-Encoding", strings.Split(name, " ")[0])
		copyAnswer(w, rec, 200, raw)
		return true
	}
}

func encode(name string, raw []byte) []byte {
	var buf bytes.Buffer
	var w io.WriteCloser
	switch name {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "deflate":
		w = zlib.NewWriter(&buf)
	case "zstd":
		w, _ = zstd.NewWriter(&buf)
	default:
		return raw
	}
	_, _ = w.Write(raw)
	w.Close()
	return buf.Bytes()
}

// cutEncoded breaks the first encoded answers off in their middle.
func cutEncoded(h *host) hook {
	var seen atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !is("GET", "/blobs/")(r) || seen.Add(1) > 3 {
			return false
		}
		rec := httptest.NewRecorder()
		encoding(h, "gzip")(rec, r)
		copyAnswer(w, rec, 200, rec.Body.Bytes()[:rec.Body.Len()/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// cutDocument breaks manifests off in their middle.
func cutDocument(h *host) hook {
	return firstTimes(2, is("GET", "/manifests/"), func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.inner.ServeHTTP(rec, r)
		copyAnswer(w, rec, 200, rec.Body.Bytes()[:100])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
}

// What a pull may do without never fails it.
func TestRefusedOptimisationsOfPulls(t *testing.T) {
	for name := range pullRefusals(&host{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			img := randomImage(t, 300_000, 2)
			r := h.ref(t, "a:1")
			want := write(t, r, img, quickWrite())
			h.on(pullRefusals(h)[name])
			got, err := Digest(context.Background(), r, steady().Options)
			if err != nil || got != want {
				t.Errorf("Digest: %s, %v", got, err)
			}
			pullAll(t, r, img, steady().Options)
		})
	}
}
