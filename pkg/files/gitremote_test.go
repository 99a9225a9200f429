package files

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/remote"
)

// gitHost serves the repositories of a directory to who says the token, if it has one, and notes what it was told.
type gitHost struct {
	*httptest.Server
	token string
	moved func(path string) string // where a path leads instead; nil, and "": nowhere
	look  func()                   // is called while git waits for an answer

	mu   sync.Mutex
	told map[string]bool // the passwords, and other headers for authorization
}

func newGitHost(t *testing.T, dir, token string) *gitHost {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	h := &gitHost{token: token, told: map[string]bool{}}
	backend := &cgi.Handler{Path: path, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.hear(r); h.look != nil {
			h.look()
		}
		if h.moved != nil {
			if to := h.moved(r.URL.RequestURI()); to != "" {
				http.Redirect(w, r, to, http.StatusMovedPermanently)
				return
			}
		}
		user, password, _ := r.BasicAuth()
		if h.token != "" && user != h.token && password != h.token && r.Header.Get("Authorization") != "Custom "+h.token {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintln(w, "you said", r.Header.Get("Authorization"), user, password)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *gitHost) hear(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, header := range []string{"Authorization", "Cookie", "Referer"} {
		if said := r.Header.Get(header); said != "" {
			h.told[said] = true
		}
	}
	if user, password, ok := r.BasicAuth(); ok {
		h.told[user+":"+password] = true
	}
}

// wasTold says whether the host learnt of a text.
func (h *gitHost) wasTold(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for said := range h.told {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// with is the address of a repository with user information.
func (h *gitHost) with(info, path string) string {
	return strings.Replace(h.URL, "://", "://"+info+"@", 1) + path
}

func (h *gitHost) host() string { return strings.TrimPrefix(h.URL, "http://") }

func secretsOf(m map[string]string) func(string) ([]byte, bool) {
	return func(id string) ([]byte, bool) { v, ok := m[id]; return []byte(v + "\n"), ok }
}

func TestGitCredentials(t *testing.T) {
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository)
	h, open := newGitHost(t, dir, "s3sam@"), newGitHost(t, dir, "")
	for _, test := range []struct {
		source  string
		secrets map[string]string
		right   bool
	}{
		{h.URL + "/repo.git", nil, false},
		{h.with("me:s3sam%40", "/repo.git"), nil, true},
		{h.with("me:s3sam%40", "/repo.git#v1:docs"), nil, true},
		{h.with("s3sam%40", "/repo.git"), nil, true},
		{h.with("s3sam%40:", "/repo.git"), nil, true},
		{h.with(":s3sam%40", "/repo.git"), nil, true},
		{h.with("me:wrong", "/repo.git"), nil, false},
		{h.with("me", "/repo.git"), nil, false},
		{h.with("me", "/repo.git"), map[string]string{"GIT_AUTH_TOKEN": "s3sam@"}, true},
		{h.with("me:s3sam%40", "/repo.git"), map[string]string{"GIT_AUTH_TOKEN": "wrong"}, true},
		{h.URL + "/repo.git", map[string]string{"GIT_AUTH_TOKEN": "s3sam@"}, true},
		{h.URL + "/repo.git", map[string]string{"GIT_AUTH_TOKEN." + h.host(): "s3sam@", "GIT_AUTH_TOKEN": "wrong"}, true},
		{h.URL + "/repo.git", map[string]string{"GIT_AUTH_TOKEN.127.0.0.1": "s3sam@"}, true},
		{h.URL + "/repo.git", map[string]string{"GIT_AUTH_TOKEN.localhost": "s3sam@"}, false},
		{h.URL + "/repo.git", map[string]string{"GIT_AUTH_HEADER": "Custom s3sam@"}, true},
		{h.URL + "/repo.git", map[string]string{"GIT_AUTH_HEADER." + h.host(): "Custom s3sam@", "GIT_AUTH_TOKEN." + h.host(): "wrong"}, true},
		{open.with("me", "/repo.git"), nil, true},
		{open.with("me:pw", "/repo.git"), nil, true},
	} {
		_, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched(), Secret: secretsOf(test.secrets)}, copyStep(test.source, "/x/"))
		if (err == nil) != test.right {
			t.Errorf("%s with %v: %v", test.source, test.secrets, err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3sam") || strings.Contains(err.Error(), "wrong")) {
			t.Errorf("the error says the token: %v", err)
		}
	}
	if open.wasTold("Basic bWU6") && !open.wasTold("me:pw") {
		t.Error("a user without a password was said to a server that did not ask")
	}
}

// A redirect inside a host keeps the token, one to another host loses it, whichever request is redirected.
func TestGitTokenFollowsNoRedirect(t *testing.T) {
	for name, give := range map[string]func(h *gitHost) (string, remote.Fetcher){
		"password": func(h *gitHost) (string, remote.Fetcher) { return h.with("me:sesame", ""), remote.Fetcher{} },
		"user":     func(h *gitHost) (string, remote.Fetcher) { return h.with("sesame", ""), remote.Fetcher{} },
		"token": func(h *gitHost) (string, remote.Fetcher) {
			return h.URL, remote.Fetcher{Secret: secretsOf(map[string]string{"GIT_AUTH_TOKEN": "sesame"})}
		},
		"header": func(h *gitHost) (string, remote.Fetcher) {
			return h.URL, remote.Fetcher{Secret: secretsOf(map[string]string{"GIT_AUTH_HEADER": "Custom sesame"})}
		},
	} {
		t.Run(name, func(t *testing.T) { testGitRedirects(t, give) })
	}
}

func testGitRedirects(t *testing.T, give func(h *gitHost) (string, remote.Fetcher)) {
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository)
	h, other, private := newGitHost(t, dir, "sesame"), newGitHost(t, dir, ""), newGitHost(t, dir, "other")
	h.moved = func(path string) string {
		for from, to := range map[string]string{"/renamed.git/": "/repo.git/", "/away.git/": other.URL + "/repo.git/", "/locked.git/": private.URL + "/repo.git/",
			"/twice.git/": "/away.git/", "/nowhere.git/": "/nowhere.git/", "/page.git/": other.URL + "/login?next=/"} {
			if rest, ok := strings.CutPrefix(path, from); ok {
				return to + rest
			}
		}
		if path == "/post.git/git-upload-pack" {
			return other.URL + "/repo.git/git-upload-pack"
		}
		return ""
	}
	b.shellIn(dir, "cp -r repo.git post.git")
	for path, right := range map[string]bool{"/repo.git": true, "/renamed.git": true, "/away.git": true, "/twice.git": true, "/locked.git": false,
		"/nowhere.git": false, "/page.git": false, "/post.git": false} {
		address, o := give(h)
		o.Fetched = remote.NewFetched()
		_, err := b.tryAdd(o, copyStep(address+path, "/x/"))
		if (err == nil) != right {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("the error says the token: %v", err)
		}
	}
	if !h.wasTold("sesame") {
		t.Error("the host itself was not told the token")
	}
	for name, host := range map[string]*gitHost{"open": other, "private": private} {
		if len(host.told) > 0 {
			t.Errorf("the other host, %s, was told %v", name, host.told)
		}
	}
}

// Whatever is said of the token while git works is looked for in the arguments of every process and in every file.
func TestGitTokenIsWrittenNowhere(t *testing.T) {
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository+submodule("../repo.git"))
	h := newGitHost(t, dir, "sesame-9f3")
	looked := 0
	look := func() {
		looked++
		hasNo(t, b.store.Dir(), "sesame-9f3")
		commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, name := range commands {
			if data, _ := os.ReadFile(name); holdsToken(data, "sesame-9f3") {
				t.Errorf("in the arguments of a process: %q", data)
			}
		}
	}
	h.look = look
	for _, info := range []string{"me:sesame-9f3", "sesame-9f3"} {
		o := remote.Fetcher{Fetched: remote.NewFetched()}
		if _, err := b.tryAdd(o, copyStep(h.with(info, "/super.git?keep-git-dir=true"), "/x/")); err != nil {
			t.Fatal(err)
		}
		look()
		if got := b.read("/x/.git/config"); !strings.Contains(got, "url = "+h.URL+"/super.git") {
			t.Errorf("the kept .git has %s", got)
		}
		if got := b.read("/x/.git/modules/s/config"); !strings.Contains(got, "url = "+h.URL+"/repo.git") {
			t.Errorf("the kept .git of the submodule has %s", got)
		}
	}
	if looked < 8 {
		t.Errorf("looked %d times only", looked)
	}
}

// submodule is a script that makes super.git, with what is at the address as s.
func submodule(address string) string {
	return fmt.Sprintf(`
		git clone -q --bare w super.git; cd w; printf '[submodule "s"]\n\tpath = s\n\turl = %s\n' >.gitmodules
		git update-index --add --cacheinfo 160000,$(git rev-parse v1^{commit}),s; git add .gitmodules; git commit -qm sub; git push -qf ../super.git main; git reset -q --hard HEAD~1; cd ..
	`, address)
}

func holdsToken(data []byte, token string) bool {
	for _, user := range []string{"me:" + token, token + ":", "x-access-token:" + token} {
		if bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString([]byte(user)))) {
			return true
		}
	}
	return bytes.Contains(data, []byte(token))
}

func hasNo(t *testing.T, dir, token string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what git makes and removes meanwhile
		}
		if data, err := os.ReadFile(path); err == nil && holdsToken(data, token) {
			t.Errorf("%s has the token", path)
		}
		return nil
	})
}

func TestSubmoduleCredentials(t *testing.T) {
	b := newCopyBench(t)
	dir, elsewhere := t.TempDir(), t.TempDir()
	b.shellIn(dir, makeRepository)
	b.shellIn(elsewhere, makeRepository)
	h, other, open := newGitHost(t, dir, "sesame"), newGitHost(t, elsewhere, "other"), newGitHost(t, elsewhere, "")
	leads := newGitHost(t, dir, "")
	leads.moved = func(path string) string { return open.URL + path }
	h.moved = func(path string) string {
		if rest, ok := strings.CutPrefix(path, "/away.git"); ok {
			return open.URL + "/repo.git" + rest
		}
		return ""
	}
	for i, test := range []struct {
		address string
		secrets map[string]string
		right   bool
	}{
		{"../repo.git", nil, true},
		{"./../repo.git", nil, true},
		{h.URL + "/repo.git", nil, true},
		{h.with("git", "/repo.git"), nil, true},
		{h.with("x:wrong", "/repo.git"), nil, false},
		{h.URL + "/away.git", nil, true},
		{open.URL + "/repo.git", nil, true},
		{leads.URL + "/repo.git", nil, true},
		{other.URL + "/repo.git", nil, false},
		{other.with("x:other", "/repo.git"), nil, true},
		{other.URL + "/repo.git", map[string]string{"GIT_AUTH_TOKEN." + other.host(): "other"}, true},
		{other.URL + "/repo.git", map[string]string{"GIT_AUTH_TOKEN": "other"}, false},
		{strings.Replace(h.URL, "http:", "https:", 1) + "/repo.git", nil, false},
		{strings.Replace(h.URL, "127.0.0.1", "localhost", 1) + "/repo.git", nil, false},
	} {
		b.shellIn(dir, "export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1; rm -rf super.git; "+submodule(test.address))
		for _, source := range []string{h.with("me:sesame", "/super.git"), h.URL + "/super.git"}[i%2 : i%2+1] {
			secrets := map[string]string{"GIT_AUTH_TOKEN": "sesame"}
			for k, v := range test.secrets {
				if k == "GIT_AUTH_TOKEN" {
					k += ".unused"
				}
				secrets[k] = v
			}
			_, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched(), Secret: secretsOf(secrets)}, copyStep(source, "/x/"))
			if (err == nil) != test.right {
				t.Errorf("submodule at %s with %v: %v", test.address, test.secrets, err)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error says the token: %v", err)
			}
		}
	}
	for _, host := range []*gitHost{other, open, leads} {
		if host.wasTold("sesame") {
			t.Errorf("another host was told %v", host.told)
		}
	}
}

// What a .gitmodules may not name, each by the reason.
func TestHostileSubmodules(t *testing.T) {
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository)
	h := newGitHost(t, dir, "")
	marks := t.TempDir()
	for _, address := range []string{"FILE://" + dir + "/repo.git", dir + "/repo.git", "ext::sh -c touch% " + marks + "/ext", "--upload-pack=touch " + marks + "/option",
		"ssh://git@127.0.0.1/repo.git", "git@127.0.0.1:repo.git", "ssh://-oProxyCommand=touch " + marks + "/proxy/repo.git", "http::" + h.URL + "/repo.git"} {
		b.shellIn(dir, "export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1; rm -rf super.git; "+submodule(strings.ReplaceAll(address, "%", "%%")))
		if _, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, copyStep(h.URL+"/super.git", "/x/")); err == nil {
			t.Errorf("a submodule at %s was fetched", address)
		}
	}
	if left, _ := os.ReadDir(marks); len(left) > 0 {
		t.Errorf("commands ran: %v", left)
	}
}

func TestSubmoduleOfSubmodules(t *testing.T) {
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository+submodule("../repo.git")+`
		git clone -q --bare super.git outer.git; git clone -q super.git o 2>/dev/null; cd o; git config user.name t; git config user.email t@e
		git rm -q --cached s; printf '[submodule "name of it"]\n\tpath = deep/in/here\n\turl = ../super.git\n[submodule "none"]\n\tpath = none\n\turl = ../repo.git\n\tupdate = none\n[submodule "gone"]\n\tpath = gone\n\turl = ../repo.git\n' >.gitmodules
		git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),deep/in/here --cacheinfo 160000,$(git rev-parse HEAD),none
		git add .gitmodules; git commit -qm outer; git push -qf ../outer.git HEAD:main`)
	h := newGitHost(t, dir, "sesame")
	if _, err := b.tryAdd(remote.Fetcher{}, copyStep(h.with("me:sesame", "/outer.git"), "/")); err != nil {
		t.Fatal(err)
	}
	if got := b.read("/deep/in/here/s/docs/guide"); got != "guide" {
		t.Errorf("the inner submodule has %q", got)
	}
	v, _ := b.store.View(b.parent)
	for _, name := range []string{"/deep/in/here/.git", "/deep/in/here/s/.git", "/none/file", "/gone"} {
		if _, err := v.Lstat(name); err == nil {
			t.Errorf("%s is there", name)
		}
	}
}

// A token in the query of an address is said to its own server, not to the one that it redirects to.
func TestQueryIsNoReferer(t *testing.T) {
	b, other := newCopyBench(t), newGitHost(t, t.TempDir(), "")
	s := httptest.NewServer(http.RedirectHandler(other.URL+"/f", http.StatusFound))
	defer s.Close()
	_, _ = b.tryAdd(remote.Fetcher{}, copyStep(s.URL+"/f?token=sesame", "/f"))
	if other.wasTold("sesame") {
		t.Errorf("the other server was told %v", other.told)
	}
	for _, source := range []string{"http://me:sesame@127.0.0.1:1/f", "http://sesame@127.0.0.1:1/f", "http://me:sesame@ho st/f", "https://me:sesame@h:x/r.git", "http://me:sesame@127.0.0.1:1/r.git?nonsense=1"} {
		_, err := b.tryAdd(remote.Fetcher{}, copyStep(source, "/f"))
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("ADD %s: %v", dockerfile.Redact(source), err)
		}
		_, err = OpenContext(t.Context(), source, ContextOptions{StateDir: b.store.Dir(), LocalNetwork: true})
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("context %s: %v", dockerfile.Redact(source), err)
		}
	}
}
