package image

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// frames is one HTTP/2 connection of a registry, frame by frame: a test decides after how many bytes of a body what goes wrong.
type frames struct {
	*http2.Framer
	mu    sync.Mutex
	conn  *tls.Conn
	inner http.Handler
	fault func(r *http.Request, body int) *fault
}

// fault is what happens after so many bytes of an answer's body; before -1 there is no answer at all.
type fault struct {
	after int
	act   func(w *frames, stream uint32)
}

func resetStream(code http2.ErrCode) func(*frames, uint32) {
	return func(w *frames, stream uint32) { _ = w.WriteRSTStream(stream, code) }
}

// goAway ends the connection: last is the last stream that the server says to have seen.
func goAway(code http2.ErrCode, before uint32) func(*frames, uint32) {
	return func(w *frames, stream uint32) {
		_ = w.WriteGoAway(stream-before, code, []byte("maintenance"))
		w.conn.Close()
	}
}

// goAwayAndReset announces the end and then drops what is under way.
func goAwayAndReset(w *frames, stream uint32) {
	_ = w.WriteGoAway(stream, http2.ErrCodeNo, nil)
	_ = w.WriteRSTStream(stream, http2.ErrCodeCancel)
}

func hangUp(w *frames, _ uint32) { w.conn.Close() }

// endEarly says that the body is complete.
func endEarly(w *frames, stream uint32) { _ = w.WriteData(stream, true, nil) }

// newWire starts a registry that speaks HTTP/2 over TLS.
func newWire(t *testing.T, inner http.Handler, f func(*http.Request, int) *fault) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{NextProtos: []string{"h2"}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
			(&frames{Framer: http2.NewFramer(c, c), conn: c, inner: inner, fault: f}).serve()
		},
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

func (w *frames) serve() {
	defer w.conn.Close()
	if _, err := io.ReadFull(w.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	w.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = w.WriteSettings()
	for {
		f, err := w.ReadFrame()
		if err != nil {
			return
		}
		w.mu.Lock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = w.WriteSettingsAck()
			}
		case *http2.PingFrame:
			_ = w.WritePing(true, f.Data)
		case *http2.MetaHeadersFrame:
			w.answer(f)
		}
		w.mu.Unlock()
	}
}

func (w *frames) answer(f *http2.MetaHeadersFrame) {
	r := httptest.NewRequest(f.PseudoValue("method"), f.PseudoValue("path"), nil)
	for _, h := range f.RegularFields() {
		r.Header.Add(h.Name, h.Value)
	}
	rec := httptest.NewRecorder()
	w.inner.ServeHTTP(rec, r)
	body := rec.Body.Bytes()
	if r.Method == http.MethodHead {
		body = nil
	}
	wrong := w.fault(r, len(body))
	if wrong != nil && wrong.after < 0 {
		wrong.act(w, f.StreamID)
		return
	}
	w.head(f.StreamID, rec, len(body) == 0 && wrong == nil)
	if wrong != nil {
		w.data(f.StreamID, body[:min(wrong.after, len(body))], false)
		wrong.act(w, f.StreamID)
	} else if len(body) > 0 {
		w.data(f.StreamID, body, true)
	}
}

func (w *frames) head(stream uint32, rec *httptest.ResponseRecorder, end bool) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: fmt.Sprint(rec.Code)})
	for k, vs := range rec.Header() {
		_ = enc.WriteField(hpack.HeaderField{Name: strings.ToLower(k), Value: vs[0]})
	}
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// data relies on the window of 4 MiB that Go's client gives each stream.
func (w *frames) data(stream uint32, body []byte, end bool) {
	for len(body) > 16<<10 {
		_ = w.WriteData(stream, false, body[:16<<10])
		body = body[16<<10:]
	}
	_ = w.WriteData(stream, end, body)
}

// times lets the first n answers of each path fail.
func times(n int, f func(*http.Request, int) *fault) func(*http.Request, int) *fault {
	var mu sync.Mutex
	seen := map[string]int{}
	return func(r *http.Request, body int) *fault {
		mu.Lock()
		defer mu.Unlock()
		if seen[r.URL.Path] == n {
			return nil
		}
		wrong := f(r, body)
		if wrong != nil {
			seen[r.URL.Path]++
		}
		return wrong
	}
}

// A pull goes on after whatever HTTP/2 has for an end: of a stream, of the connection, with and without a reason, before the
// answer, at its first byte, in its middle and at its last.
func TestPullOverHTTP2Survives(t *testing.T) {
	img := randomImage(t, 300_000, 2)
	h := newHost(t)
	write(t, h.ref(t, "a:1"), img, quickWrite())
	acts := map[string]func(*frames, uint32){
		"internal error": resetStream(http2.ErrCodeInternal), "cancel": resetStream(http2.ErrCodeCancel), "no error": resetStream(http2.ErrCodeNo),
		"refused": resetStream(http2.ErrCodeRefusedStream), "calm": resetStream(http2.ErrCodeEnhanceYourCalm), "protocol": resetStream(http2.ErrCodeProtocol),
		"goaway": goAway(http2.ErrCodeNo, 0), "goaway, unseen": goAway(http2.ErrCodeNo, 2), "goaway with an error": goAway(http2.ErrCodeInternal, 0),
		"goaway, calm": goAway(http2.ErrCodeEnhanceYourCalm, 2), "goaway and reset": goAwayAndReset, "hang up": hangUp, "end early": endEarly,
	}
	for _, what := range []string{"/manifests/", "/blobs/"} {
		for name, act := range acts {
			for _, at := range []int{-1, 0, 1, 100, 150_000, 1 << 30} {
				if at < 0 && name == "end early" || name == "no error" && at < 1 {
					continue // this is an answer, though a strange one
				}
				t.Run(fmt.Sprintf("%s %s at %d", what, name, at), func(t *testing.T) {
					t.Parallel()
					f := times(3, func(r *http.Request, body int) *fault {
						if !strings.Contains(r.URL.Path, what) || r.Method != http.MethodGet {
							return nil
						}
						return &fault{min(at, body-1), act}
					})
					o := steady().Options
					o.Insecure = true
					pullAll(t, mustRef(t, newWire(t, h.inner, f)+"/a:1"), img, o)
				})
			}
		}
	}
}

func pullAll(t *testing.T, r Ref, img v1.Image, o Options) {
	t.Helper()
	got, err := Open(context.Background(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Fatal(err)
	}
	g, _ := got.Digest()
	if w, _ := img.Digest(); g != w {
		t.Errorf("digest %s, want %s", g, w)
	}
}

// A stream that is reset without end is given up, with an error that says what the registry did.
func TestPullOverHTTP2EndsSometime(t *testing.T) {
	img := randomImage(t, 100_000, 1)
	h := newHost(t)
	write(t, h.ref(t, "a:1"), img, quickWrite())
	asked := 0
	f := func(r *http.Request, body int) *fault {
		if !strings.Contains(r.URL.Path, "/blobs/") || body < 10_000 {
			return nil
		}
		asked++
		return &fault{0, resetStream(http2.ErrCodeInternal)}
	}
	o := quick()
	o.Insecure = true
	got, err := Open(context.Background(), mustRef(t, newWire(t, h.inner, f)+"/a:1"), o)
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := got.Layers()
	rc, err := layers[0].Compressed()
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
	}
	var re *RegistryError
	if !errors.As(err, &re) || !strings.Contains(err.Error(), "INTERNAL_ERROR") || asked > wire.MaxRetries+1 {
		t.Errorf("after %d requests: %v", asked, err)
	}
}
