package layers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// onOverlay returns a directory on an overlay, as the root of a container is one.
func onOverlay(t testing.TB) string {
	t.Helper()
	at := t.TempDir()
	for _, dir := range []string{"lower", "upper", "work", "root"} {
		check(t, os.Mkdir(filepath.Join(at, dir), 0o700))
	}
	root := filepath.Join(at, "root")
	if err := snapshotter.MountOverlay(root, []string{filepath.Join(at, "lower")}, filepath.Join(at, "upper"), filepath.Join(at, "work")); err != nil {
		t.Skipf("cannot mount overlays here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return root
}

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

func TestTheFirstDraftSaysWhatTheFilesystemLacks(t *testing.T) {
	s, err := Open(filepath.Join(onOverlay(t), "store"))
	check(t, err)
	defer s.Close()
	_, err = s.Draft(t.Context(), Key{})
	if err == nil || !strings.Contains(err.Error(), "whiteouts") || hint.Of(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestJudgeDir(t *testing.T) {
	good := filepath.Join(t.TempDir(), "not", "there")
	j, err := JudgeDir(good)
	if err != nil || j.Way != snapshotter.Overlay || j.Why != nil {
		t.Errorf("%v: %v, %v", good, j, err)
	}
	if _, err := os.Stat(filepath.Dir(good)); err == nil {
		t.Error("it has made the directory")
	}
	bad := onOverlay(t)
	j, err = JudgeDir(bad)
	if err != nil || j.Way != snapshotter.None || j.Why == nil {
		t.Errorf("%v: %v, %v", bad, j, err)
	}
	if left, err := os.ReadDir(bad); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
