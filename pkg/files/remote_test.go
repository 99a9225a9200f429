package files

import (
	"archive/tar"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/remote"
)

// fileServer serves files by path, counts requests, and answers as a server with ETags does.
type fileServer struct {
	*httptest.Server
	files    map[string]string
	requests []string
	auth     []string
}

func newFileServer(t *testing.T) *fileServer {
	s := &fileServer{files: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *fileServer) serve(w http.ResponseWriter, r *http.Request) {
	s.auth = append(s.auth, r.Header.Get("Authorization"))
	text, ok := s.files[r.URL.Path]
	if to, moved := strings.CutPrefix(text, "->"); moved {
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	etag := fmt.Sprintf("%q", fmt.Sprint(len(text), text[:1]))
	w.Header().Set("ETag", etag)
	w.Header().Set("Last-Modified", time.Unix(1234567890, 0).UTC().Format(http.TimeFormat))
	if r.Header.Get("If-None-Match") == etag {
		s.requests = append(s.requests, "304 "+r.URL.Path)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.requests = append(s.requests, "200 "+r.URL.Path)
	w.Write([]byte(text))
}

func (b *copyBench) tryAdd(o remote.Fetcher, c *dockerfile.Copy) (sum [32]byte, err error) {
	b.Helper()
	o.LocalNetwork = true // the servers of these tests are on loopback
	return b.tryGuarded(o, c)
}

// tryGuarded adds what an ADD may reach that is granted nothing.
func (b *copyBench) tryGuarded(o remote.Fetcher, c *dockerfile.Copy) (sum [32]byte, err error) {
	b.Helper()
	c.Add, o.Store = true, b.store
	tree := b.open().Tree()
	if sum, err = DigestCopy(b.Context(), tree, c, o); err != nil {
		return sum, err
	}
	return sum, b.tryStep(func(d *layers.Draft) error { return CopyInto(b.Context(), d, c, tree, o) })
}

func TestAddURL(t *testing.T) {
	b, s := newCopyBench(t), newFileServer(t)
	s.files["/data.txt"], s.files["/t.tar"] = "from the web", string(archive(t, &tar.Header{Name: "x", Typeflag: tar.TypeReg, Mode: 0o600, Uid: 7}))
	yes := true
	for _, c := range []*dockerfile.Copy{
		copyStep(s.URL+"/data.txt?version=2", "/dir/"),
		copyStep(s.URL+"/data.txt", "/renamed"),
		copyStep(s.URL+"/t.tar", "/t.tar"),
		copyStep(s.URL+"/t.tar", "/t", func(c *dockerfile.Copy) { c.Unpack = &yes }),
		copyStep(s.URL+"/data.txt", "/bin/pinned", chown("10:20"), chmodTo("0444"), func(c *dockerfile.Copy) {
			c.Checksum = "sha256:00aff84bfbbf5a40fa4bb25bb5fb4fe0a99a9ebaf09d7f9f0a4ae1b5a3a3c6f8"
		}),
	} {
		_, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, c)
		if c.Checksum == "" && err != nil {
			t.Fatal(err)
		}
		if c.Checksum != "" {
			if err == nil || !strings.Contains(err.Error(), c.Checksum) || !strings.Contains(err.Error(), "got sha256:") {
				t.Fatalf("wrong checksum: %v", err)
			}
			_, right, _ := strings.Cut(err.Error(), "got ")
			c.Checksum, _, _ = strings.Cut(right, ",")
			if _, err := b.tryAdd(remote.Fetcher{}, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.want(`
		d 0444 10:20 /bin
		f 0444 10:20 /bin/pinned from the web
		d 0755 0:0 /dir
		f 0600 0:0 /dir/data.txt from the web
		f 0600 0:0 /renamed from the web
		d 0755 0:0 /t
		f 0600 7:0 /t/x x
		f 0600 0:0 /t.tar`)
	v, _ := b.store.View(b.parent)
	if e, err := v.Lstat("/renamed"); err != nil || e.ModTime.Unix() != 1234567890 {
		t.Errorf("%v %v", e, err)
	}
}

func TestURLIsAskedOncePerBuild(t *testing.T) {
	b, s := newCopyBench(t), newFileServer(t)
	s.files["/f"] = "one"
	step := copyStep(s.URL+"/f", "/f")
	add := func() [32]byte {
		t.Helper()
		s.requests = nil
		sum, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, step)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := add()
	if got := strings.Join(s.requests, ","); got != "200 /f" {
		t.Error(got)
	}
	if again := add(); again != first || strings.Join(s.requests, ",") != "304 /f" {
		t.Error(s.requests)
	}
	s.files["/f"] = "other"
	if other := add(); other == first || strings.Join(s.requests, ",") != "200 /f" {
		t.Error(s.requests)
	}
	delete(s.files, "/f")
	if _, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, step); err == nil || !strings.Contains(err.Error(), "404 Not Found") {
		t.Errorf("got %v", err)
	}
}

func TestURLCredentialsStayWithTheirHost(t *testing.T) {
	b, s, other := newCopyBench(t), newFileServer(t), newFileServer(t)
	other.files["/g"] = "g"
	s.files["/f"] = "->" + strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/g"
	host := strings.TrimPrefix(s.URL, "http://")
	secret := func(id string) ([]byte, bool) { return []byte("secret\n"), id == "HTTP_AUTH_TOKEN_"+host }
	if _, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched(), Secret: secret}, copyStep(s.URL+"/f", "/f")); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(s.auth, other.auth) != "[Bearer secret] []" && fmt.Sprint(s.auth, other.auth) != "[Bearer secret] [ ]" && strings.Contains(fmt.Sprint(other.auth), "secret") {
		t.Errorf("%q %q", s.auth, other.auth)
	}
}

// gitServer serves the repositories of a directory by git's own HTTP server.
func gitServer(t *testing.T) (dir, address string) {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	dir = t.TempDir()
	server := httptest.NewServer(&cgi.Handler{Path: path, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}})
	t.Cleanup(server.Close)
	return dir, server.URL
}

const makeRepository = `
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1100000000 +0000' GIT_COMMITTER_DATE='1100000000 +0000'
git init -q -b main w; cd w; git config user.name t; git config user.email t@example.org
mkdir docs; echo one >file; echo guide >docs/guide; ln -s docs link; git add .; git commit -qm one; git tag -a -m v1 v1
echo two >file; chmod +x file; git add .; git commit -qm two; git branch -q feature/x v1
cd ..; git clone -q --bare w repo.git; git -C repo.git update-server-info; git -C repo.git rev-parse main v1^{commit}
`

func TestAddGit(t *testing.T) {
	b := newCopyBench(t)
	dir, address := gitServer(t)
	b.shellIn(dir, makeRepository)
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", filepath.Join(dir, "repo.git"), "rev-parse", "main", "v1^{commit}").Output()
	if err != nil {
		t.Fatal(err)
	}
	commits := strings.Fields(string(out))
	yes := true
	for _, c := range []*dockerfile.Copy{
		copyStep(address+"/repo.git", "/main", exclude("docs")),
		copyStep(address+"/repo.git#v1", "/v1"),
		copyStep(address+"/repo.git#feature/x:docs", "/docs/", chown("5")),
		copyStep(address+"/repo.git#"+commits[1]+":/docs/", "/commit"),
		copyStep(address+"/repo.git?tag=v1&subdir=docs&checksum="+commits[1], "/query"),
	} {
		if _, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, c); err != nil {
			t.Fatal(err)
		}
	}
	b.want(`
		d 0755 0:0 /commit
		f 0644 0:0 /commit/guide guide
		d 0755 5:5 /docs
		f 0644 5:5 /docs/guide guide
		d 0755 0:0 /main
		f 0755 0:0 /main/file two
		l 0:0 /main/link -> docs
		d 0755 0:0 /query
		f 0644 0:0 /query/guide guide
		d 0755 0:0 /v1
		d 0755 0:0 /v1/docs
		f 0644 0:0 /v1/docs/guide guide
		f 0644 0:0 /v1/file one
		l 0:0 /v1/link -> docs`)
	v, _ := b.store.View(b.parent)
	if e, err := v.Lstat("/v1/file"); err != nil || e.ModTime.Unix() != 1100000000 {
		t.Errorf("%v %v", e, err)
	}
	if _, err := b.tryAdd(remote.Fetcher{}, copyStep(address+"/repo.git", "/keep", func(c *dockerfile.Copy) { c.KeepGit = &yes })); err != nil {
		t.Fatal(err)
	}
	v, _ = b.store.View(b.parent)
	if _, err := v.Lstat("/keep/.git/HEAD"); err != nil {
		t.Error(err)
	}
	for spec, want := range map[string]string{
		"#none": "no ref", "#v1:link": "no directory", "#:../..": "", "#--upload-pack=x": "no git ref", "#a..b": "no git ref", "?checksum=" + commits[1]: "--checksum wants"} {
		_, err := b.tryAdd(remote.Fetcher{}, copyStep(address+"/repo.git"+spec, "/x/"))
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestGitFromDumbServer(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	c, err := OpenContext(t.Context(), server.URL+"/repo.git#v1", ContextOptions{StateDir: b.store.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := strings.Join(names(t, c.Tree()), " "); got != "docs docs/guide file link" {
		t.Error(got)
	}
}

func TestGitSubmoduleCannotReachFiles(t *testing.T) {
	b := newCopyBench(t)
	dir, address := gitServer(t)
	b.shellIn(dir, makeRepository+`
		cd w; printf '[submodule "s"]\n\tpath = s\n\turl = file://`+dir+`/repo.git\n' >.gitmodules
		git update-index --add --cacheinfo 160000,$(git rev-parse v1^{commit}),s; git add .gitmodules; git commit -qm sub; git push -q ../repo.git main`)
	if _, err := b.tryAdd(remote.Fetcher{}, copyStep(address+"/repo.git", "/x")); err == nil {
		t.Error("a submodule of this machine was fetched")
	}
	b.shellIn(dir, `export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1; cd w; printf '[submodule "s"]\n\tpath = s\n\turl = ../repo.git\n' >.gitmodules; git add .gitmodules; git commit -qm rel; git push -q ../repo.git main`)
	if _, err := b.tryAdd(remote.Fetcher{}, copyStep(address+"/repo.git", "/y")); err != nil {
		t.Fatal(err)
	}
	v, _ := b.store.View(b.parent)
	if _, err := v.Lstat("/y/s/docs/guide"); err != nil {
		t.Error(err)
	}
	if _, err := v.Lstat("/y/s/.git"); err == nil {
		t.Error(".git of the submodule is left")
	}
	if left, _ := os.ReadDir(filepath.Join(b.store.Dir(), "contexts")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}
