package build

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// An image of another platform is said, whether a stage is based on it or copies from it; a named context is not.
func TestLintPlatforms(t *testing.T) {
	arm, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	const text = "FROM base\nCOPY --from=img /a /b\nCOPY --from=named /a /b\n"
	plan, err := dockerfile.Parse("Dockerfile", []byte(text), dockerfile.Options{Platform: v1.Platform{OS: "linux", Architecture: "amd64"},
		Contexts: map[string]string{"named": "docker-image://x"}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := Lint(t.Context(), plan, true, func(context.Context, string, v1.Platform) (v1.Image, error) { return arm, nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Location.Start != 1 || found[1].Location.Start != 2 {
		t.Fatalf("got %+v", found)
	}
	for _, w := range found {
		if w.Rule != "InvalidBaseImagePlatform" || !strings.Contains(w.Message, "linux/arm64") {
			t.Errorf("got %+v", w)
		}
	}
}
