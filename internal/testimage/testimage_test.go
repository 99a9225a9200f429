package testimage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func shellOrSkip(t *testing.T) v1.Image {
	t.Helper()
	img, err := Shell()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestShell(t *testing.T) {
	img := shellOrSkip(t)
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
}

func TestAppend(t *testing.T) {
	img, err := Append(shellOrSkip(t),
		File{Name: "d/", Mode: 0o2755, UID: 7},
		File{Name: "d/f", Body: "x", Xattrs: map[string]string{"user.a": "b"}},
		File{Name: "d/g", Type: '1', Link: "d/f"})
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
}

func TestRegistryFaults(t *testing.T) {
	r := NewRegistry()
	defer r.Close()
	ref, err := r.Put(context.Background(), "base/shell:1", shellOrSkip(t))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	r.SetFault(FailTimes(1, "HEAD /v2/base/shell/manifests", http.StatusNotFound))
	if _, err := remote.Head(parsed); err == nil {
		t.Error("the fault did not show")
	}
	if _, err := remote.Head(parsed); err != nil {
		t.Errorf("the fault came twice: %v", err)
	}
	if log := r.Requests(); !slices.Contains(log, "HEAD /v2/base/shell/manifests/1") {
		t.Errorf("log: %q", log)
	}
}

func TestTruncate(t *testing.T) {
	r := NewRegistry()
	defer r.Close()
	r.SetFault(Truncate(1))
	resp, err := http.Get("http://" + r.Host() + "/v2/a/blobs/sha256:0")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("the body was whole")
	}
}

func TestIndexLogAndETag(t *testing.T) {
	index, err := NewIndex(Wheel{Name: "My.Pkg", Version: "1.0", Files: map[string]string{"mypkg.py": "x = 1\n"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(index)
	defer server.Close()
	page := fetch(t, server.URL+"/simple/my-pkg/", "")
	if page.StatusCode != http.StatusOK || fetch(t, server.URL+"/simple/my-pkg/", page.Header.Get("ETag")).StatusCode != http.StatusNotModified {
		t.Error("a page is not asked for again by its ETag")
	}
	fetch(t, server.URL+"/files/My_Pkg-1.0-py3-none-any.whl", "")
	fetch(t, server.URL+"/simple/unknown/", "")
	log := index.Log()
	if len(log) != 4 || log[3].Status != http.StatusNotFound || !slices.Equal(Wheels(log), []string{"My_Pkg-1.0-py3-none-any.whl"}) {
		t.Errorf("log: %v", log)
	}
}

// A wheel in a file is offered as one in memory is.
func TestIndexOffersFiles(t *testing.T) {
	wheel := Wheel{Name: "My.Pkg", Version: "1.0", Files: map[string]string{"mypkg.py": "x = 1\n"}}
	data, err := wheel.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), wheel.Filename())
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	memory, err := NewIndex(wheel)
	if err != nil {
		t.Fatal(err)
	}
	file, err := NewIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := file.AddFile(path); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{"/simple/my-pkg/", "/files/" + wheel.Filename(), "/files/other.whl"} {
		var answers [2]*httptest.ResponseRecorder
		for i, index := range []*Index{memory, file} {
			answers[i] = httptest.NewRecorder()
			index.ServeHTTP(answers[i], httptest.NewRequest(http.MethodGet, asked, nil))
		}
		if answers[0].Code != answers[1].Code || !bytes.Equal(answers[0].Body.Bytes(), answers[1].Body.Bytes()) ||
			answers[0].Header().Get("ETag") != answers[1].Header().Get("ETag") {
			t.Errorf("%s: %d from memory, %d from a file, or not the same", asked, answers[0].Code, answers[1].Code)
		}
	}
}

func fetch(t *testing.T, url, etag string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// The real pip is the judge of our wheels and of our index.
func TestPipInstalls(t *testing.T) {
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-m", "pip", "--version").Run(); err != nil {
		t.Skipf("no pip for %s: %v", python, err)
	}
	wheels := []Wheel{
		{Name: "agent-tools", Version: "1.2", Requires: []string{"agent-base>=1"}, Files: map[string]string{"agent_tools/__init__.py": "import agent_base\n"}},
		{Name: "agent-base", Version: "1.0", Files: map[string]string{"agent_base.py": "ok = True\n"}},
	}
	for _, debian := range []string{"python3-six", "python3-yaml"} {
		w, err := DebianWheel(debian)
		if err != nil {
			t.Logf("without %s: %v", debian, err)
			continue
		}
		wheels = append(wheels, w)
	}
	index, err := NewIndex(wheels...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(index)
	defer server.Close()
	target := t.TempDir()
	args := []string{"-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--index-url", server.URL + "/simple/", "--target", target, "agent-tools"}
	for _, w := range wheels[2:] {
		args = append(args, w.Name)
	}
	if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := "import agent_tools"
	if len(wheels) == 4 {
		code += ", six, yaml; assert yaml.safe_load('a: 1') == {'a': 1}"
	}
	cmd := exec.Command(python, "-c", code)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+target)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := len(Wheels(index.Log())); got != len(wheels) {
		t.Errorf("%d wheels were fetched of %d", got, len(wheels))
	}
}

func TestWheelIsTheSameEachTime(t *testing.T) {
	w := Wheel{Name: "a", Version: "1", Files: map[string]string{"a.py": "", "b.py": "", "c.py": ""}}
	first, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.Bytes()
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two wheels of one content differ (%v)", err)
	}
}

func TestInstalledRecordsItself(t *testing.T) {
	files, err := Wheel{Name: "a", Version: "1", Files: map[string]string{"a.py": ""}}.Installed("lib")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name == "lib/a-1.dist-info/RECORD" && strings.Contains(f.Body, "a-1.dist-info/INSTALLER,,") {
			return
		}
	}
	t.Errorf("no record of INSTALLER in %v", files)
}

// Only where scripts/test.sh, or a developer, says where the base is kept: making it takes a minute and Debian's mirror.
func TestPython(t *testing.T) {
	dir := os.Getenv("GBUILD_TEST_CACHE")
	if dir == "" {
		t.Skip("GBUILD_TEST_CACHE does not name a directory for the base")
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip(err)
	}
	img, err := Python(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if layers, err := img.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".python-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %s (%v)", strings.Join(left, " "), err)
	}
}
