package files

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReadDirOfManyFiles lists directories around the number of files that are looked at at once.
func TestReadDirOfManyFiles(t *testing.T) {
	for _, count := range []int{0, 1, statAhead, 2*statAhead + 1, 20 * statAhead} {
		dir := t.TempDir()
		var want []string
		for i := range count {
			name := fmt.Sprint(strings.Repeat("x", i%50), i)
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
		}
		slices.Sort(want)
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if got := names(t, newDirTree(root, nil)); !slices.Equal(got, want) {
			t.Errorf("%d files: listed %d", count, len(got))
		}
	}
}
