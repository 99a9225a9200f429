package image

import (
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/hint"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseRef(t *testing.T) {
	tests := []struct{ in, want, familiar string }{
		{"python", "docker.io/library/python:latest", "python:latest"},
		{"python:3.11", "docker.io/library/python:3.11", "python:3.11"},
		{"index.docker.io/library/python:3", "docker.io/library/python:3", "python:3"},
		{"me/app", "docker.io/me/app:latest", "me/app:latest"},
		{"host.example:5000/a/b:t", "host.example:5000/a/b:t", "host.example:5000/a/b:t"},
		{"localhost/a", "localhost/a:latest", "localhost/a:latest"},
		{"[::1]:5000/a:b", "[::1]:5000/a:b", "[::1]:5000/a:b"},
		{"python:3@" + someDigest, "docker.io/library/python:3@" + someDigest, "python:3@" + someDigest},
		{"python@" + someDigest, "docker.io/library/python@" + someDigest, "python@" + someDigest},
		{"oci:dir", "oci:dir", "oci:dir"},
		{"oci:/a@b/dir:v1", "oci:/a@b/dir:v1", "oci:/a@b/dir:v1"},
		{"oci:dir@" + someDigest, "oci:dir@" + someDigest, "oci:dir@" + someDigest},
		{"oci-archive:a.tar:host/x:1", "oci-archive:a.tar:host/x:1", "oci-archive:a.tar:host/x:1"},
		{"docker-archive:-", "docker-archive:-", "docker-archive:-"},
	}
	for _, tt := range tests {
		r, err := ParseRef(tt.in)
		if err != nil {
			t.Errorf("ParseRef(%q): %v", tt.in, err)
			continue
		}
		if r.String() != tt.want || r.Familiar() != tt.familiar {
			t.Errorf("ParseRef(%q) = %q, %q; want %q, %q", tt.in, r.String(), r.Familiar(), tt.want, tt.familiar)
		}
	}
}

func TestParseRefRefuses(t *testing.T) {
	tests := []struct{ in, rule string }{
		{"", "empty"},
		{"Python", "upper case"},
		{"Me/app", "upper case"},
		{"a..b", "parted by"},
		{"a//b", "empty"},
		{":5000/a", "host name"},
		{"a:" + strings.Repeat("x", 129), "1 to 128"},
		{"a:.b", "1 to 128"},
		{"a@sha256:1234", "bad digest"},
		{"a@", "bad digest"},
		{"host.example/" + strings.Repeat("x", 256), "255"},
		{"oci:", "path is missing"},
		{"oci:dir:a b", "name after the path"},
		{"oci:dir@md5:12", "bad digest"},
		{"a:b:c", "parted by"},
	}
	for _, tt := range tests {
		_, err := ParseRef(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.rule) || !strings.Contains(hint.Of(err), "HOST[:PORT]") {
			t.Errorf("ParseRef(%q): %v, want a rule about %q", tt.in, err, tt.rule)
		}
	}
}

// FuzzParseRef holds that what is accepted has a full form that means the same.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"python:3.11", "a/b@" + someDigest, "oci:a:b@" + someDigest, "docker-archive:x:y/z:1", "localhost:5000/a", "[::1]/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Fatalf("%q: %#v, then %#v (%v)", s, r, again, err)
		}
		if _, err := r.repository(false); r.Kind == KindRegistry && err != nil {
			t.Fatalf("%q: accepted, but no repository: %v", s, err)
		}
	})
}

func TestOnlyLoopbackIsAskedWithoutTLSFirst(t *testing.T) {
	for ref, want := range map[string]string{
		"localhost:5000/a": "http", "127.0.0.2:5000/a": "http", "[::1]:5000/a": "http", "a.localhost:5000/a": "http",
		"localhost.example/a": "https", "127.0.0.1.example:5000/a": "https", "localhost.example:5000/a": "https",
		"10.1.2.3:5000/a": "https", "192.168.1.1/a": "https", "registry.local:5000/a": "https",
	} {
		r, err := ParseRef(ref)
		if err != nil {
			t.Fatal(err)
		}
		repo, err := r.repository(false)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&client{repo: repo}).url("manifests", "1").Scheme; got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
		if want == "http" && repo.Scheme() != want {
			t.Errorf("%s: plain http is not tried", ref)
		}
	}
}
