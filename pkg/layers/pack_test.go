package layers

import (
	"errors"
	"os"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// packed makes the state k over parent of one file, as a layer only.
func packed(t *testing.T, s *Store, parent, k Key, content string) {
	t.Helper()
	source := t.TempDir() + "/f"
	write(t, source, content)
	f, err := rootfs.Lstat(source, "/etc/f")
	check(t, err)
	lower, err := s.View(parent)
	check(t, err)
	check(t, s.Pack(t.Context(), k, parent, lower, LayerOptions{}, func(l *rootfs.LayerWriter) error {
		check(t, l.Enter(&rootfs.Entry{Name: "etc", Path: "/etc", Mode: unix.S_IFDIR | 0o755, ModTime: time.Unix(1, 0)}))
		defer l.Leave()
		return l.Put(f)
	}))
}

func blobOf(t *testing.T, s *Store, k Key) v1.Hash {
	t.Helper()
	m, err := s.snapshots.readMeta(k)
	check(t, err)
	if m.Packed == nil {
		t.Fatal("it is not packed")
	}
	return m.Packed.Digest
}

func TestPackedStates(t *testing.T) {
	tests := map[string]func(t *testing.T, s *Store){
		"there, but not its files": func(t *testing.T, s *Store) {
			if !s.Has(keyOf("p")) || s.Unpacked(keyOf("p")) || !s.HasLayers(keyOf("p"), LayerOptions{}) {
				t.Error(s.Has(keyOf("p")), s.Unpacked(keyOf("p")), s.HasLayers(keyOf("p"), LayerOptions{}))
			}
			if _, err := s.View(keyOf("p")); !errors.Is(err, errPacked) {
				t.Errorf("error %v", err)
			}
		},
		"a draft unpacks it": func(t *testing.T, s *Store) {
			change(t, s, keyOf("p"), keyOf("next"), func(r string) { write(t, r+"/g", "") })
			wantFiles(t, s, keyOf("next"), "/ /etc /etc/f /g")
			check(t, s.Expand(t.Context(), keyOf("p")))
		},
		"another compression unpacks it": func(t *testing.T, s *Store) {
			l, _, err := oneLayer(t, s, keyOf("p"), codec.Compression{Algorithm: "zstd"})
			check(t, err)
			same, _, err := oneLayer(t, s, keyOf("p"), codec.Compression{})
			check(t, err)
			a, _ := l.DiffID()
			if b, _ := same.DiffID(); a != b {
				t.Errorf("%s and %s", a, b)
			}
		},
		"one over the other": func(t *testing.T, s *Store) {
			check(t, s.Expand(t.Context(), keyOf("p")))
			packed(t, s, keyOf("p"), keyOf("q"), "more")
			check(t, s.Expand(t.Context(), keyOf("q")))
			v, err := s.View(keyOf("q"))
			check(t, err)
			if got := read(t, v, "/etc/f"); got != "more" {
				t.Errorf("got %q", got)
			}
		},
		"without its blob it is not there, and can be made again": func(t *testing.T, s *Store) {
			path, err := s.disk.blob(blobOf(t, s, keyOf("p")))
			check(t, err)
			check(t, os.Remove(path))
			if s.Has(keyOf("p")) {
				t.Error("it is there")
			}
			d, err := s.Draft(t.Context(), Key{})
			check(t, err)
			write(t, d.Dir()+"/f", "")
			check(t, d.Commit(t.Context(), keyOf("p")))
			wantFiles(t, s, keyOf("p"), "/ /f")
		},
		"a corrupt blob is said and dropped": func(t *testing.T, s *Store) {
			path, err := s.disk.blob(blobOf(t, s, keyOf("p")))
			check(t, err)
			info, err := os.Stat(path)
			check(t, err)
			check(t, os.Remove(path))
			check(t, os.WriteFile(path, make([]byte, info.Size()), 0o644))
			if err := s.Expand(t.Context(), keyOf("p")); err == nil || s.Has(keyOf("p")) || s.snapshots.hasFiles(keyOf("p")) {
				t.Errorf("error %v", err)
			}
		},
		"prune keeps the blob with it": func(t *testing.T, s *Store) {
			blob := blobOf(t, s, keyOf("p"))
			check(t, s.lease.Close())
			_, err := s.Prune(t.Context(), time.Hour)
			check(t, err)
			path, err := s.disk.blob(blob)
			check(t, err)
			old := time.Now().Add(-2 * time.Hour)
			check(t, os.Chtimes(path, old, old))
			report, err := s.Prune(t.Context(), time.Hour)
			check(t, err)
			if report.Blobs != 0 || !s.Has(keyOf("p")) {
				t.Errorf("%+v", report)
			}
			check(t, s.lease.Close())
			report, err = s.Prune(t.Context(), 0)
			check(t, err)
			if report.Blobs != 1 || s.Has(keyOf("p")) {
				t.Errorf("%+v", report)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			packed(t, s, Key{}, keyOf("p"), "text")
			test(t, s)
		})
	}
}
