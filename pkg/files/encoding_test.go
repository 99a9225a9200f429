package files

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/remote"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// newEncodingServer serves text/ENCODING/... with that encoding, whatever was asked for; "asked" does what was asked, and "cut" ends
// in the middle.
func newEncodingServer(t *testing.T, text string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		packed := gzipped(t, text)
		switch how := strings.Split(r.URL.Path, "/")[1]; how {
		case "plain":
			fmt.Fprint(w, text)
		case "file": // a .gz without an encoding is a file
			fmt.Fprint(w, packed)
		case "asked":
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				fmt.Fprint(w, text)
				return
			}
			fallthrough
		case "gzip", "GZIP":
			w.Header().Set("Content-Encoding", how)
			if how == "asked" {
				w.Header().Set("Content-Encoding", "gzip")
			}
			fmt.Fprint(w, packed)
		case "cut":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, packed[:len(packed)/2])
		default: // what nobody asked for and Go does not know arrives as it is, as with BuildKit
			w.Header().Set("Content-Encoding", how)
			fmt.Fprint(w, text)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What ADD takes from a URL is the file without its Content-Encoding; --checksum counts for that.
func TestAddURLDecodes(t *testing.T) {
	b, at := newCopyBench(t), newEncodingServer(t, "from the web")
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("from the web")))
	for _, how := range []string{"plain", "asked", "gzip", "GZIP", "br", "identity"} {
		if _, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, copyStep(at+"/"+how+"/f", "/"+how)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.tryAdd(remote.Fetcher{}, copyStep(at+"/"+how+"/f", "/x", func(c *dockerfile.Copy) { c.Checksum = sum })); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	if _, err := b.tryAdd(remote.Fetcher{}, copyStep(at+"/cut/f", "/cut")); err == nil {
		t.Error("half an answer is a file")
	}
	b.want(`
		f 0600 0:0 /GZIP from the web
		f 0600 0:0 /asked from the web
		f 0600 0:0 /br from the web
		f 0600 0:0 /gzip from the web
		f 0600 0:0 /identity from the web
		f 0600 0:0 /plain from the web
		f 0600 0:0 /x from the web`)
}

// The same holds for contexts: tars, packed and not, and Dockerfiles.
func TestContextURLDecodes(t *testing.T) {
	packed := string(archive(t, &tar.Header{Name: "Dockerfile", Typeflag: tar.TypeReg, Mode: 0o600}))
	for name, text := range map[string]string{"tar": packed, "tar.gz": gzipped(t, packed), "Dockerfile": "FROM scratch"} {
		at := newEncodingServer(t, text)
		for _, how := range []string{"plain", "asked", "gzip"} {
			c, err := OpenContext(context.Background(), at+"/"+how+"/"+name, ContextOptions{})
			if err != nil {
				t.Fatalf("%s %s: %v", how, name, err)
			}
			if _, got, err := c.Dockerfile(""); err != nil || len(got) == 0 {
				t.Errorf("%s %s: %q, %v", how, name, got, err)
			}
			c.Close()
		}
	}
}
