package layers

import (
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// A name is written again only when it comes to mean something else, because that costs two flushes of the disk.
func TestTagOfTheSameIsNotWritten(t *testing.T) {
	s := newStore(t)
	other, err := mutate.Config(empty.Image, v1.Config{User: "other"})
	check(t, err)
	written := func(img v1.Image) os.FileInfo {
		check(t, s.Tag("a:1", img))
		info, err := os.Stat(s.disk.name("a:1"))
		check(t, err)
		return info
	}
	first := written(empty.Image)
	if !os.SameFile(first, written(empty.Image)) {
		t.Error("the same image was named again")
	}
	if os.SameFile(first, written(other)) {
		t.Error("another image was not named")
	}
	img, err := s.Image("a:1")
	check(t, err)
	got, err := img.ConfigFile()
	check(t, err)
	if got.Config.User != "other" {
		t.Errorf("the name means the image of user %q", got.Config.User)
	}
}
