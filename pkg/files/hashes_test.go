package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHashesOfManyFiles changes, adds and drops files between builds.
func TestHashesOfManyFiles(t *testing.T) {
	const count = 5000
	file := filepath.Join(t.TempDir(), "hashes/context")
	clock := time.Now()
	node := func(i, version int) *Node {
		return &Node{Path: fmt.Sprintf("/dir%d/file%d", i%7, i), Mode: unix.S_IFREG, Ino: uint64(version), ModTime: time.Unix(1, 0)}
	}
	sum := func(i, version int) [32]byte { return [32]byte{byte(i), byte(i >> 8), byte(version)} }
	build := func(from, version int, known func(i int) bool) {
		t.Helper()
		h := newHashes(file)
		h.now = func() time.Time { return clock }
		for i := from; i < count; i++ {
			n := node(i, version)
			got, ok := h.lookup(n)
			if ok != known(i) || ok && got != sum(i, version) {
				t.Fatalf("file %d, version %d: known %v", i, version, ok)
			}
			if !ok {
				h.remember(n, sum(i, version))
			}
			if got, ok = h.lookup(n); !ok || got != sum(i, version) || !h.same(n) || h.same(node(i, version+1)) {
				t.Fatalf("file %d, version %d: not known at once, or a change is not noticed", i, version)
			}
		}
		if !h.same(node(count, version)) {
			t.Error("a file that was not hashed counts as changed")
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
	}
	none, all := func(int) bool { return false }, func(int) bool { return true }
	build(1000, 1, none)
	build(0, 1, func(i int) bool { return i >= 1000 })
	build(0, 1, all)
	build(2000, 2, none)
	build(2000, 2, all)
	build(0, 1, func(i int) bool { return i < 2000 })

	other, long := filepath.Join(filepath.Dir(file), "other"), time.Now().AddDate(0, 0, -hashesDays-1)
	if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Chtimes(other, long, long)); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add((hashesDays + 1) * 24 * time.Hour)
	build(4000, 1, all)
	build(0, 1, func(i int) bool { return i >= 4000 })
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a context that is not built any more is there: %v", err)
	}
}
