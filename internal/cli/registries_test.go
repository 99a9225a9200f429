package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/image"
)

func TestMirrors(t *testing.T) {
	r := Registries{MirrorFlags: []string{"m.example", "https://m.example:5000/", "http://127.0.0.1:5000", "localhost:1", "http://[::1]:2", "m.example/docker/hub/"}}
	err := r.SetMirrors()
	var want []image.Mirror
	for _, m := range []string{"m.example", "m.example:5000", "127.0.0.1:5000", "localhost:1", "[::1]:2", "m.example docker/hub"} {
		host, path, _ := strings.Cut(m, " ")
		want = append(want, image.Mirror{Of: "docker.io", Host: host, Path: path})
	}
	if err != nil || !slices.Equal(r.Mirrors, want) {
		t.Errorf("%q %v", r.Mirrors, err)
	}
	for _, bad := range []string{"", "http://m.example", "http://localhost.example", "http://127.evil.example:80", "ftp://m.example", "/path", "me:pw@m.example", "m.example/me:pw@path"} {
		if m, err := ParseMirror("--registry-mirror", "docker.io", bad); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: %v %v", bad, m, err)
		}
	}
}
