package image

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// endless sends a status and bytes without an end: as fast as they are taken, or one each pause.
func endless(code int, pause time.Duration, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		piece := []byte(strings.Repeat(" ", 32<<10))
		if pause > 0 {
			piece = piece[:1]
		}
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			time.Sleep(pause)
		}
	}
}

// What a registry says beside the image ends, however much of it there is and however slowly it comes.
func TestAnswersAreBounded(t *testing.T) {
	img := randomImage(t, 1000, 1)
	h := newHost(t)
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	token := []string{"WWW-Authenticate", `Bearer realm="` + h.URL + `/token"`}
	basic := []string{"WWW-Authenticate", "Basic"}
	for _, c := range []struct {
		name, method, path, want string
		code                     int
		header                   []string
		challenge                bool
	}{
		{"greeting", "", "/v2/", "needs a login", 401, basic, false},
		{"greeting without a challenge", "", "/v2/", "", 401, nil, false},
		{"greeting that is forbidden", "", "/v2/", "refused", 403, nil, true},
		{"refusal", "", "/", "needs a login", 401, basic, false},
		{"token", "", "/token", "answer of", 200, nil, true},
		{"token's refusal", "", "/token", "", 401, nil, true},
		{"redirect", "GET", "/manifests/", "", 307, []string{"Location", h.URL + "/v2/"}, false},
		{"manifest", "GET", "/manifests/", "manifest", 200, []string{"Content-Type", "application/vnd.oci.image.manifest.v1+json"}, false},
		{"missing manifest", "GET", "/manifests/", "not found", 404, nil, false},
		{"error", "GET", "/manifests/", "answered 400", 400, nil, false},
		{"config", "GET", "/blobs/", "", 404, nil, false},
	} {
		for name, pause := range map[string]time.Duration{"endless": 0, "slow": 20 * time.Millisecond} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				h.on(func(w http.ResponseWriter, r *http.Request) bool {
					switch {
					case (c.method == "" || c.method == r.Method) && strings.Contains(r.URL.Path, c.path):
						endless(c.code, pause, c.header...)(w, r)
					case c.challenge && r.URL.Path != "/token":
						w.Header().Set(token[0], token[1])
						w.WriteHeader(401)
					default:
						return false
					}
					return true
				})
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				got, err := Open(ctx, r, Options{patience: wire.Patience{Pause: time.Millisecond, Stall: 100 * time.Millisecond}})
				if err == nil {
					_, err = got.ConfigFile()
				}
				if ctx.Err() != nil {
					t.Fatal("it did not end:", err)
				}
				if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if c.name == "token" && IsAbsence(err) != (pause > 0) {
					t.Errorf("absent is what is slow, and not what is long: %v", err)
				}
				if err != nil && len(err.Error()) > 2000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			})
		}
	}
}
