package image

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

func imageFor(t *testing.T, p v1.Platform) v1.Image {
	t.Helper()
	img := randomImage(t, 1000, 1)
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Variant = p.OS, p.Architecture, p.Variant
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

// index.json says what an image is for, and an archive of one image has the same bytes each time.
func TestIndexNamesThePlatform(t *testing.T) {
	for _, kind := range []string{"oci", "oci-archive", "docker-archive"} {
		for _, want := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}, {}} {
			img := imageFor(t, want)
			var files [][]byte
			for range 2 {
				at := filepath.Join(t.TempDir(), "x")
				r := mustRef(t, kind+":"+at)
				o := quickWrite()
				o.Tags = []string{"app:1", "app:2"}
				write(t, r, img, o)
				if kind == "docker-archive" { // which is an OCI layout, too
					r = mustRef(t, "oci-archive:"+at)
				}
				l, err := openTree(r)
				if err != nil {
					t.Fatal(err)
				}
				index, err := l.index()
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range index.Manifests {
					if want.OS == "" && d.Platform != nil || want.OS != "" && (d.Platform == nil || !d.Platform.Equals(want)) {
						t.Errorf("%s: platform %v, want %v", kind, d.Platform, want)
					}
				}
				if kind == "oci" {
					at = filepath.Join(at, "index.json")
				}
				raw, err := os.ReadFile(at)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, raw)
			}
			if !bytes.Equal(files[0], files[1]) {
				t.Errorf("%s: two writes of one image differ", kind)
			}
		}
	}
}

// Several images in a layout are one image for several platforms only under one name, and not where two are for the same.
func TestSeveralImagesInALayout(t *testing.T) {
	amd, arm := v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "arm64"}
	for name, c := range map[string]struct {
		tags  []string
		p     []v1.Platform
		clear bool
	}{
		"two of a platform":       {[]string{"", ""}, []v1.Platform{amd, amd}, false},
		"two names of a platform": {[]string{":v1", ":v2"}, []v1.Platform{amd, amd}, false},
		"two names":               {[]string{":v1", ":v2"}, []v1.Platform{amd, arm}, false},
		"one for two":             {[]string{"", ""}, []v1.Platform{amd, arm}, true},
	} {
		dir := t.TempDir()
		for i, tag := range c.tags {
			write(t, mustRef(t, "oci:"+dir+"/l"+tag), imageFor(t, c.p[i]), quickWrite())
		}
		_, err := Open(context.Background(), mustRef(t, "oci:"+dir+"/l"), quick())
		if c.clear != (err == nil) || err != nil && !strings.Contains(err.Error(), "it holds 2 images, and none is named") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
