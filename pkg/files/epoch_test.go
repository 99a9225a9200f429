package files

import (
	"archive/tar"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// An epoch can be the time of a context or of what a stage adds.
func TestEpoch(t *testing.T) {
	modified := time.Unix(981173106, 0)
	archive := &bytes.Buffer{}
	w := tar.NewWriter(archive)
	for name, at := range map[string]int64{"old": 5, "new": 4711} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, ModTime: time.Unix(at, 0), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dated" {
			w.Header().Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
		}
		if r.URL.Path == "/text" {
			w.Write([]byte("FROM scratch"))
			return
		}
		w.Write(archive.Bytes())
	}))
	defer server.Close()
	open := func(spec string) *Context {
		c, err := OpenContext(t.Context(), spec, ContextOptions{StateDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	named := func(context.Context, string) (*Context, error) { return open(server.URL + "/other"), nil }
	for _, test := range []struct {
		dockerfile, main string
		want             int64
	}{
		{"ARG SOURCE_DATE_EPOCH=context\nFROM scratch", server.URL + "/dated", 981173106},
		{"ARG SOURCE_DATE_EPOCH=context\nFROM scratch", server.URL + "/undated", 4711},
		{"ARG SOURCE_DATE_EPOCH=context\nFROM scratch", server.URL + "/text", -1},
		{"ARG SOURCE_DATE_EPOCH=context\nFROM scratch", t.TempDir(), -1},
		{"ARG SOURCE_DATE_EPOCH=other\nFROM scratch", t.TempDir(), 4711},
		{"ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD " + server.URL + "/dated /\nFROM scratch", t.TempDir(), 981173106},
		{"ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD " + server.URL + "/undated /\nFROM scratch", t.TempDir(), 4711},
		{"ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nCOPY x /\nFROM scratch", t.TempDir(), -2},
	} {
		p, err := dockerfile.Parse("Dockerfile", []byte(test.dockerfile), dockerfile.Options{Contexts: map[string]string{"other": "x"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Epoch(t.Context(), p.EpochSource, open(test.main), named, ContextOptions{StateDir: t.TempDir(), LocalNetwork: true})
		switch {
		case test.want == -2 && err != nil, test.want == -1 && err == nil && got == nil:
		case err != nil || got == nil || *got != test.want:
			t.Errorf("%q in %s: %v, %v, want %d", test.dockerfile, test.main, got, err, test.want)
		}
		if !strings.Contains(test.dockerfile, "ADD") {
			continue
		}
		if got, err := Epoch(t.Context(), p.EpochSource, open(test.main), named, ContextOptions{StateDir: t.TempDir()}); err == nil {
			t.Errorf("%q: the Dockerfile's own address is asked without a grant: %v", test.dockerfile, got)
		}
	}
}
