package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/image/wire"
)

// configDir writes a Docker config.json with user:secret for each host.
func configDir(t *testing.T, more map[string]any, hosts ...string) string {
	t.Helper()
	auths := map[string]any{}
	for _, h := range hosts {
		auths[h] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("user:secret"))}
	}
	config := map[string]any{"auths": auths}
	for k, v := range more {
		config[k] = v
	}
	src, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), src, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// spy is a server that notes every secret that reaches it.
type spy struct {
	*httptest.Server
	mu    sync.Mutex
	hits  int
	leaks []string
}

func newSpy(t *testing.T, answer http.HandlerFunc) *spy {
	t.Helper()
	s := &spy{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		s.mu.Lock()
		s.hits++
		for _, v := range []string{r.Header.Get("Authorization"), r.Header.Get("Proxy-Authorization"), r.Header.Get("Cookie"), r.PostForm.Get("refresh_token")} {
			if v != "" {
				s.leaks = append(s.leaks, v)
			}
		}
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// other is the spy by another name than the registries of these tests, which are 127.0.0.1.
func (s *spy) other() string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }

func (s *spy) check(t *testing.T, hit bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.leaks) > 0 {
		t.Errorf("secrets reached another host: %q", s.leaks)
	}
	if hit && s.hits == 0 {
		t.Error("the other host was not asked at all")
	}
}

// basic makes a registry ask for user:secret.
func basic(more func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, ok := r.BasicAuth(); !ok || user != "user" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return more != nil && more(w, r)
	}
}

func TestLogin(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	h.on(basic(nil))
	r := h.ref(t, "a/b:1")
	o := quickWrite()
	o.Keychain = Keychain(configDir(t, nil, r.Host))
	write(t, r, img, o)
	if _, err := Open(context.Background(), r, o.Options); err != nil {
		t.Fatal(err)
	}
	_, err := Open(context.Background(), r, quick())
	var ue *UnauthorizedError
	if !errors.As(err, &ue) || !strings.Contains(ue.Hint(), "no credentials were found") {
		t.Errorf("without credentials: %v", err)
	}
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	_, err = Open(context.Background(), r, o.Options)
	if !errors.As(err, &ue) || !strings.Contains(ue.Hint(), `user "user" from `) || strings.Contains(err.Error()+ue.Hint(), "secret") {
		t.Errorf("with refused credentials: %v", err)
	}
	if n := h.count("GET /v2/"); n > 4 {
		t.Errorf("%d tries against a 401", n)
	}
}

// SEC-60: a registry sends its clients to a token server of somebody else.
func TestForeignRealmGetsNothing(t *testing.T) {
	evil := newSpy(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"t"}`)) })
	h := newHost(t)
	h.on(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+evil.other()+`/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	r := h.ref(t, "a:1")
	host := strings.TrimPrefix(evil.other(), "http://")
	for what, config := range map[string]authn.AuthConfig{"password": {Username: "user", Password: "secret"}, "identity token": {IdentityToken: "secret"}} {
		t.Run(what, func(t *testing.T) {
			o := quick()
			o.Keychain = fixed{authn.FromConfig(config)}
			_, err := Open(context.Background(), r, o)
			var te *wire.TrustError
			if !errors.As(err, &te) || te.Host != host {
				t.Errorf("Open: %v, want a TrustError that names %s", err, host)
			}
			evil.check(t, false)
		})
	}
}

type fixed struct{ authn.Authenticator }

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) { return f, nil }

// A token server of the registry itself is used.
func TestBearer(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 1000, 1)
	r := h.ref(t, "a:1")
	expired := firstTimes(1, is("PATCH", "/uploads/"), status(http.StatusUnauthorized))
	h.on(func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/token" {
			if user, password, _ := req.BasicAuth(); user != "user" || password != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			_, _ = w.Write([]byte(`{"token":"t"}`))
			return true
		}
		if req.Header.Get("Authorization") == "Bearer t" && !is("PATCH", "/uploads/")(req) {
			return false
		}
		if req.Header.Get("Authorization") == "Bearer t" {
			// B36: the token runs out in the middle of a push, once.
			rec := httptest.NewRecorder()
			if !expired(rec, req) {
				return false
			}
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+h.URL+`/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	o := quickWrite()
	o.Keychain = Keychain(configDir(t, nil, r.Host))
	write(t, r, img, o)
	if _, err := Open(context.Background(), r, o.Options); err != nil {
		t.Fatal(err)
	}
}

// SEC-61: redirects and upload locations lead to another host; the credentials stay.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	h := newHost(t)
	img := randomImage(t, 100_000, 1)
	r := h.ref(t, "a:1")
	write(t, r, img, quickWrite())
	storage := newSpy(t, func(w http.ResponseWriter, r *http.Request) { h.inner.ServeHTTP(w, r) })
	o := quickWrite()
	o.Keychain = Keychain(configDir(t, nil, r.Host))
	t.Run("pull", func(t *testing.T) {
		h.on(basic(func(w http.ResponseWriter, r *http.Request) bool {
			if !is("GET", "/blobs/")(r) {
				return false
			}
			http.Redirect(w, r, storage.other()+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}))
		if _, err := Open(context.Background(), r, o.Options); err != nil {
			t.Fatal(err)
		}
		storage.check(t, true)
	})
	for method, size := range map[string]int64{"PATCH": 100_000, "PUT": 1000} {
		t.Run("push by "+method, func(t *testing.T) {
			storage.hits = 0
			h.on(basic(func(w http.ResponseWriter, r *http.Request) bool {
				if !is(method, "/uploads/")(r) {
					return false
				}
				http.Redirect(w, r, storage.other()+r.URL.RequestURI(), http.StatusTemporaryRedirect)
				return true
			}))
			write(t, h.ref(t, "b:1"), randomImage(t, size, 1), o)
			storage.check(t, true)
		})
	}
	t.Run("token asked for by the other host", func(t *testing.T) {
		asking := newSpy(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		h.on(basic(func(w http.ResponseWriter, r *http.Request) bool {
			if !is("GET", "/blobs/")(r) {
				return false
			}
			http.Redirect(w, r, asking.other()+"/x", http.StatusFound)
			return true
		}))
		if _, err := Open(context.Background(), r, o.Options); err == nil {
			t.Error("no error")
		}
		asking.check(t, true)
	})
	t.Run("endless redirects", func(t *testing.T) {
		h.on(basic(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}))
		if _, err := Open(context.Background(), r, o.Options); err == nil {
			t.Error("no error")
		}
	})
}

// helper installs a credential helper that runs a shell script.
func helper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestKeychain(t *testing.T) {
	helper(t, "good", `read host; echo "{\"ServerURL\":\"$host\",\"Username\":\"helped\",\"Secret\":\"s\"}"`)
	helper(t, "token", `echo '{"Username":"<token>","Secret":"s"}'`)
	helper(t, "none", `echo "credentials not found in native keychain"; exit 1`)
	helper(t, "broken", `echo no; exit 1`)
	helper(t, "garbage", `echo no`)
	helper(t, "silent", `exit 0`)
	helper(t, "wrong", `echo '{"ServerURL":"https://other.example","Username":"u","Secret":"s"}'`)
	with := func(k, v string) map[string]any { return map[string]any{k: v} }
	helpers := func(host, v string) map[string]any { return map[string]any{"credHelpers": map[string]string{host: v}} }
	tests := []struct {
		name, target string
		config       map[string]any
		auths        []string
		want, err    string
	}{
		{"host", "a.example/x/y", nil, []string{"a.example"}, "user", ""},
		{"other host", "b.example/x", nil, []string{"a.example"}, "", ""},
		{"other port", "a.example:5000/x", nil, []string{"a.example"}, "", ""},
		{"suffix of the host", "evil-a.example/x", nil, []string{"a.example"}, "", ""},
		{"url", "a.example/x", nil, []string{"https://a.example/v2/"}, "user", ""},
		{"docker hub", "index.docker.io/library/x", nil, []string{"https://index.docker.io/v1/"}, "user", ""},
		{"docker hub by its name", "index.docker.io/library/x", nil, []string{"docker.io"}, "user", ""},
		{"namespace", "a.example/x/y", nil, []string{"a.example/x"}, "user", ""},
		{"other namespace", "a.example/xx/y", nil, []string{"a.example/x"}, "", ""},
		{"store", "a.example/x", with("credsStore", "good"), nil, "helped", ""},
		{"store for hub", "index.docker.io/library/x", with("credsStore", "good"), nil, "helped", ""},
		{"token", "a.example/x", with("credsStore", "token"), nil, "<identity>", ""},
		{"store knows nothing", "a.example/x", with("credsStore", "none"), nil, "", ""},
		{"helper of another host", "a.example/x", helpers("b.example", "good"), nil, "", ""},
		{"helper wins", "a.example/x", helpers("a.example", "good"), []string{"a.example"}, "helped", ""},
		{"helper missing", "a.example/x", helpers("a.example", "missing"), nil, "", "not installed"},
		{"helper fails", "a.example/x", helpers("a.example", "broken"), nil, "", "exit status 1"},
		{"helper prints garbage", "a.example/x", helpers("a.example", "garbage"), nil, "", "printed no credentials"},
		{"helper prints nothing", "a.example/x", helpers("a.example", "silent"), nil, "", "printed no credentials"},
		{"helper answers for another", "a.example/x", helpers("a.example", "wrong"), nil, "", "other.example"},
		{"helper is a path", "a.example/x", helpers("a.example", "../../bin/sh"), nil, "", "no name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo, err := name.NewRepository(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			auth, err := Keychain(configDir(t, tt.config, tt.auths...)).Resolve(repo)
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "credentials for ") || !strings.Contains(err.Error(), tt.err) || hint.Of(err) == "" {
					t.Errorf("Resolve: %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := auth.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			got := c.Username
			if c.IdentityToken != "" {
				got = "<identity>"
			}
			if got != tt.want {
				t.Errorf("user %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKeychainReadsPodmansFileToo(t *testing.T) {
	auth := filepath.Join(configDir(t, nil, "a.example"), "config.json")
	repo, _ := name.NewRepository("a.example/x")
	got, err := Keychain(t.TempDir(), auth).Resolve(repo)
	if err != nil || got == authn.Anonymous {
		t.Fatalf("Resolve: %v, %v", got, err)
	}
	broken := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Keychain(t.TempDir(), broken).Resolve(repo); err == nil {
		t.Error("no error for a broken file")
	}
}

// An empty config.json is what `touch` leaves, and says no more than none.
func TestEmptyConfig(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	repo, err := name.NewRepository("a.example/x")
	if err != nil {
		t.Fatal(err)
	}
	if auth, err := Keychain(dir).Resolve(repo); err != nil || triedOf(auth) != "" {
		t.Errorf("credentials of an empty file: %v, %v", auth, err)
	}
	if given, err := Proxies(dir, ""); err != nil || len(given) != 0 {
		t.Errorf("proxies of an empty file: %v, %v", given, err)
	}
}

func TestHelpersAnswerIsBounded(t *testing.T) {
	helper(t, "endless", "exec yes")
	if _, err := runHelper(t.Context(), "endless", "h"); err == nil || !strings.Contains(err.Error(), "printed more than 1 MiB") {
		t.Errorf("error %v", err)
	}
}
