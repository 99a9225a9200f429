package layers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

func TestAStoreWithoutSnapshotsLiesAnywhere(t *testing.T) {
	s, err := Open(filepath.Join(onOverlay(t), "store"))
	check(t, err)
	defer s.Close()
	d, err := s.PutBlob(t.Context(), strings.NewReader("bytes"), v1.Hash{})
	check(t, err)
	if _, _, err := s.Blob(d.Digest); err != nil {
		t.Error(err)
	}
	check(t, s.Remember("kind", keyOf("a"), []byte("fact")))
}

func TestJudgeDir(t *testing.T) {
	good := filepath.Join(t.TempDir(), "not", "there")
	j, err := snapshotter.JudgeDir(good)
	if err != nil || j.Way != snapshotter.Overlay || j.Why != nil {
		t.Errorf("%v: %v, %v", good, j, err)
	}
	if _, err := os.Stat(filepath.Dir(good)); err == nil {
		t.Error("it has made the directory")
	}
	second := onOverlay(t)
	j, err = snapshotter.JudgeDir(second)
	if err != nil || j.Way != snapshotter.Copied || j.Why == nil {
		t.Errorf("%v: %v, %v", second, j, err)
	}
	if left, err := os.ReadDir(second); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
