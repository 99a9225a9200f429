package dockerfile

import (
	"math/rand/v2"
	"strings"
	"testing"

	docker "github.com/distribution/reference"
)

// TestReferenceAsDocker compares names, and names put together at random, with what docker's package makes of them.
func TestReferenceAsDocker(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	names := []string{"", "a", "python:3.12", "library/python", "docker.io/python", "index.docker.io/python:3", "docker.io/library/a/b", "library/a/b",
		"localhost/a", "localhost:5000/a:b", "LOCALHOST/a", "Foo/bar", "Python", "foo/Bar", "foo_bar.com/x", "foo_bar.com:80/x", "[::1]:5000/a", "[::1]/a",
		"a@sha256:" + sum, "a:b@sha256:" + sum, "a@sha256:" + sum[1:], "a@sha256:" + strings.ToUpper(sum), "a@md5:" + sum[:32], "a@sha256+b64:" + sum,
		"a@", "a:", "a:b:c", "a b", "oci:a", "oci:a:b", sum, sum[1:], "x/" + sum, strings.Repeat("a", 255), strings.Repeat("a", 256), "b/" + strings.Repeat("a", 254),
		"a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 129), "a//b", "/a", "a/", "a__b", "a___b", "a--b", "a..b", "-a", "é", "a:é", "a\n", "docker.io",
		"example.com/É", "a.b-/c", "a.b-:5/c", "192.0.2.1/a", "a:5000/b", "a:x/b", "A.com:1/b", "a@b/c"}
	parts := []string{"a", "B", "0", ".", "_", "-", ":", "/", "@", "[", "]", "sha256:", sum, "localhost", "docker.io", "library", " "}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b strings.Builder
		for range 1 + random.IntN(7) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		names = append(names, b.String())
	}
	for _, name := range names {
		got, err := parseReference(name)
		want, wantErr := docker.ParseNormalizedNamed(name)
		if err != nil || wantErr != nil {
			if err == nil || wantErr == nil || err.Error() != wantErr.Error() {
				t.Errorf("%q: %v, docker says %v", name, err, wantErr)
			}
			continue
		}
		for _, c := range [][2]string{{got.String(), want.String()}, {got.familiar(), docker.FamiliarString(want)}, {got.tagged().String(), docker.TagNameOnly(want).String()}} {
			if c[0] != c[1] {
				t.Errorf("%q: %q, docker says %q", name, c[0], c[1])
			}
		}
	}
}
