package kaniko

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/building"
)

// The files have what kaniko writes, to the byte: names of Docker Hub begin with index.docker.io, and a file of tags gives the other
// one tags, too.
func TestReceipts(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	var put, header string
	code := http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		put, header = r.Method+" "+r.URL.String()+" "+string(text), r.Header.Get("Content-Type")
		w.WriteHeader(code)
	}))
	defer server.Close()
	usual := http.DefaultClient
	http.DefaultClient = server.Client()
	defer func() { http.DefaultClient = usual }()

	t.Chdir(t.TempDir())
	r := &building.Result{Digest: hash}
	write := func(flags string, environ ...string) error {
		t.Helper()
		_, a, l, err := parse(t, "-c . -d app -d r.example:5000/team/app:v1 "+flags, environ...)
		if err != nil {
			t.Fatal(err)
		}
		return l.writeReceipts(context.Background(), r, a.Environ)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if err := write("--digest-file=a/b/digest --image-name-with-digest-file=names", "BUILDER_OUTPUT=."); err != nil {
		t.Fatal(err)
	}
	const names = "index.docker.io/library/app@" + digest + "\nr.example:5000/team/app@" + digest + "\n"
	const tags = "index.docker.io/library/app:latest@" + digest + "\nr.example:5000/team/app:v1@" + digest + "\n"
	const images = `{"name":"app","digest":"` + digest + `"}` + "\n" + `{"name":"r.example:5000/team/app:v1","digest":"` + digest + `"}` + "\n"
	for name, want := range map[string]string{"a/b/digest": digest, "names": names, "images": images} {
		if got := read(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if err := write("--image-name-tag-with-digest-file=tags --image-name-with-digest-file=names"); err != nil {
		t.Fatal(err)
	}
	if read("names") != tags || read("tags") != tags {
		t.Errorf("%q %q", read("names"), read("tags"))
	}
	if err := write("--digest-file=" + server.URL + "/put?signature=sesame"); err != nil || put != "PUT /put?signature=sesame "+digest || header != "text/plain" {
		t.Errorf("%v %q %q", err, put, header)
	}
	code = http.StatusForbidden
	if err := write("--digest-file=" + server.URL + "/put?signature=sesame"); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
	server.Close()
	if err := write("--digest-file=" + server.URL + "/put?signature=sesame"); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
}

// Nothing of Google Cloud Build is written where nothing was pushed.
func TestNoPushIsNoOutputOfTheBuilder(t *testing.T) {
	t.Chdir(t.TempDir())
	_, a, l, err := parse(t, "-c . -d app --no-push", "BUILDER_OUTPUT=.")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.writeReceipts(context.Background(), &building.Result{}, a.Environ); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("images"); err == nil {
		t.Error("images was written")
	}
}
