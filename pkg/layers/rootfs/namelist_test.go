package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Names of several directories are one list, and each is of the uppermost directory that has it.
func TestNames(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for i, names := range [][]string{{"b", "a.b", "a"}, {}, {"c", "b", "a"}, {"d", "c"}} {
		dirs = append(dirs, filepath.Join(root, fmt.Sprint(i)))
		if err := os.Mkdir(dirs[i], 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dirs[i], name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var names Names
	if err := names.readDirs(dirs); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, part := range names.All() {
		got = append(got, fmt.Sprint(name, part))
	}
	if want := []string{"a0", "a.b0", "b0", "c2", "d3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	var chunks [][]string
	for some := range names.Chunks(2) {
		chunks = append(chunks, some)
	}
	if fmt.Sprint(chunks) != "[[a a.b] [b c] [d]]" {
		t.Errorf("chunks %v", chunks)
	}
}
