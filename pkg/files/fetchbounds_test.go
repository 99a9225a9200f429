package files

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/remote"
)

// pouring sends zeros without an end, or one byte and then nothing.
func pouring(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/announced"):
			w.Header().Set("Content-Length", "5000000")
		case strings.Contains(r.URL.Path, ".git"):
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		}
		piece := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			if strings.Contains(r.URL.Path, "stalls") {
				<-r.Context().Done()
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// Whatever is fetched ends: a server that sends for ever meets the bound on bytes, one that sends nothing the stall.
func TestFetchesAreBounded(t *testing.T) {
	s := pouring(t)
	bounds := remote.Bounds{Bytes: 1_000_000, Stall: time.Second}
	const large, stalled = "more than the 1MB that may be fetched", "nothing for 1s"
	for name, want := range map[string]string{"endless": large, "announced": large, "stalls": stalled, "stalls.git": "too slow"} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("git"); err != nil && strings.HasSuffix(name, ".git") {
				t.Skip(err)
			}
			b := newCopyBench(t)
			begun := time.Now()
			_, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched(), Bounds: bounds}, copyStep(s.URL+"/"+name, "/f"))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	for _, name := range []string{"endless", "announced"} {
		_, err := OpenContext(t.Context(), s.URL+"/"+name, ContextOptions{MaxDownload: bounds.Bytes})
		if hinted, ok := errors.AsType[*remote.SizeError](err); !ok || !strings.Contains(hinted.Hint(), "GBUILD_MAX_DOWNLOAD") {
			t.Errorf("context %s: %v", name, err)
		}
	}
}

func TestIgnoreFilesAreBounded(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("a\n", maxPatterns+1):      ".dockerignore:10001: there are more than 10000 patterns",
		"a\n" + strings.Repeat("a", maxPattern+1): ".dockerignore:2: the pattern is longer than 4096 bytes",
		strings.Repeat("a*\n", maxPatterns):       "",
	} {
		if _, err := parseIgnore(".dockerignore", []byte(text)); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A server of git:// that says nothing, or nothing more, is given up, whatever the command line grants.
func TestSilentGitServers(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	for name, said := range map[string]string{"nothing": "", "nothing more": "0032"} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = c.Write([]byte(said))
				}
			}()
			b := newCopyBench(t)
			_, err = b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched(), Bounds: remote.Bounds{Stall: time.Second}}, copyStep("git://"+l.Addr().String()+"/r.git", "/f"))
			if err == nil || !strings.Contains(err.Error(), "nothing for 1s") {
				t.Error(err)
			}
		})
	}
}
