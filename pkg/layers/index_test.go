package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// describeIndexed is what an index says of an entry.
func describeIndexed(t *testing.T, e *rootfs.Entry) string {
	t.Helper()
	xattrs, err := e.Xattrs()
	check(t, err)
	size := e.Size
	if !e.IsRegular() {
		size = 0
	}
	return fmt.Sprintf("%s %o %d:%d %d %d %s %d %q", e.Path, e.Mode, e.UID, e.GID, size, e.ModTime.Unix(), e.Link, e.Rdev, xattrs)
}

// TestIndexView holds the view of indexes to that of the snapshots.
func TestIndexView(t *testing.T) {
	s := newStore(t)
	lower, upper := keyOf("lower"), keyOf("upper")
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	file := func(name, content string) {
		check(t, os.MkdirAll(path.Dir(d.Dir()+name), 0o755))
		write(t, d.Dir()+name, content)
	}
	for i := range 200 {
		file(fmt.Sprintf("/many/%d/f", i), "x")
	}
	file("/etc/passwd", "root:x:0:0::/:\n")
	file("/etc.d/a", "1")
	file("/gone/a", "1")
	file("/replaced/a", "1")
	check(t, os.Symlink("etc", d.Dir()+"/link"))
	check(t, unix.Setxattr(d.Dir()+"/etc.d", "user.a", []byte("b"), 0))
	check(t, d.Commit(t.Context(), lower))
	d, err = s.Draft(t.Context(), lower)
	check(t, err)
	check(t, unix.Mknod(d.Dir()+"/gone", unix.S_IFCHR, 0))
	file("/replaced/b", "22")
	check(t, rootfs.SetOpaque(d.Dir()+"/replaced"))
	check(t, d.CopyUp("/many"))
	check(t, unix.Mknod(d.Dir()+"/many/7", unix.S_IFCHR, 0))
	check(t, d.Commit(t.Context(), upper))

	var indexes []rootfs.Index
	for _, k := range []Key{upper, lower} {
		all, _, err := s.Layers(t.Context(), k, LayerOptions{})
		check(t, err)
		_, err = s.MakeIndex(t.Context(), k, all, false)
		check(t, err)
		data, ok := s.Index(all, Key{})
		if !ok {
			t.Fatal("the index was not kept")
		}
		x, err := rootfs.OpenIndex(data, nil)
		check(t, err)
		indexes = append(indexes, x)
	}
	known := rootfs.IndexView(indexes...)
	files, err := s.View(upper)
	check(t, err)
	var walked []string
	check(t, known.Walk("/", func(e *rootfs.Entry) error { walked = append(walked, e.Path); return nil }))
	names := []string{"/gone", "/gone/a", "/replaced/a", "/many/7", "/many/7/f", "/etc/passwd/x", "/nothing", "/link/passwd"}
	check(t, files.Walk("/", func(e *rootfs.Entry) error { names = append(names, e.Path); return nil }))
	if !slices.Equal(walked, names[8:]) {
		t.Errorf("the walk finds %q, want %q", walked, names[8:])
	}
	for _, name := range names {
		want, wantErr := files.Lstat(name)
		got, err := known.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) != errors.Is(wantErr, fs.ErrNotExist) || wantErr == nil && describeIndexed(t, got) != describeIndexed(t, want) {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, err, want, wantErr)
		}
	}
	if r, err := known.Follow("/link/passwd"); err != nil {
		t.Error(err)
	} else {
		check(t, r.Close())
	}
	if _, err := known.Open("/etc.d/a"); !errors.Is(err, rootfs.ErrNoContent) {
		t.Errorf("opening a file: %v", err)
	}
}

// TestLayersOnly makes a state of which only the layers are here, and prunes it.
func TestLayersOnly(t *testing.T) {
	s := newStore(t)
	k, o := keyOf("floating"), LayerOptions{Index: true, Max: split.MaxLayers}
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	write(t, d.Dir()+"/f", "x")
	check(t, d.Layers(t.Context(), k, o))
	all, there, err := s.Layers(t.Context(), k, o)
	check(t, err)
	if _, indexed := s.Index(all, Key{}); !indexed || !there || s.Has(k) || len(all) != 1 {
		t.Errorf("indexed %v, there %v, a snapshot %v, %d layers", indexed, there, s.Has(k), len(all))
	}
	if left, _ := os.ReadDir(s.disk.own("drafts")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	check(t, s.Close())
	s, err = Open(s.Dir())
	check(t, err)
	defer s.Close()
	name, err := indexName(all, Key{})
	check(t, err)
	old := time.Now().Add(-2 * indexLife)
	check(t, os.Chtimes(s.disk.record(filesKind, name), old, old))
	_, err = s.Prune(t.Context(), 0)
	check(t, err)
	_, layered := s.Recall(o.kind(), k)
	_, indexed := s.Recall(filesKind, name)
	if layered || indexed || s.HasLayers(k, o) {
		t.Errorf("after a prune: the record of layers %v, the index %v", layered, indexed)
	}
}
