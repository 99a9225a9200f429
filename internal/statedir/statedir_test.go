package statedir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/layers"
)

// What is in a new state directory is in the table, and no part lies in another one.
func TestTable(t *testing.T) {
	dir := t.TempDir()
	s, err := layers.Open(dir)
	if err != nil {
		t.Skip("no store can be made here:", err)
	}
	defer s.Close()
	known := map[string]bool{"VERSION": true, "gc.lock": true}
	add := func(name string) {
		first, _, _ := strings.Cut(name, "/")
		if known[first] {
			t.Errorf("%s belongs to two", first)
		}
		known[first] = true
	}
	for _, name := range statedir.Store {
		add(name)
	}
	for _, p := range []statedir.Part{statedir.Containers, statedir.Volumes, statedir.Swap, statedir.Hashes, statedir.Contexts} {
		add(string(p))
		if p.In(dir) != filepath.Join(dir, string(p)) {
			t.Errorf("%s is in %s", p, p.In(dir))
		}
	}
	made, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range made {
		if !known[e.Name()] {
			t.Errorf("%s is not in the table", e.Name())
		}
	}
}
