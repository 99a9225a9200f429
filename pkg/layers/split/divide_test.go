package split

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestDivide(t *testing.T) {
	make := func(sizes ...int64) (all []*Distribution) {
		for i, mb := range sizes {
			all = append(all, &Distribution{List: fmt.Sprintf("/%02d", i), Name: fmt.Sprint(i), Size: mb << 20})
		}
		return all
	}
	many := slices.Repeat([]int64{20}, 14)
	for _, c := range []struct {
		all  []*Distribution
		n    int
		want string
	}{
		{make(), 12, ""},
		{make(5, 100, 2), 1, ""},
		{make(5, 100, 2), 12, "[1]"},
		{make(5, 100, 12, 20), 12, "[1] [3] [0 2]"},
		{make(9, 9), 12, "[0 1]"},
		{make(many...), 12, "[0] [1] [2] [3] [4] [5] [6] [7] [8] [9] [10 11 12 13]"},
		{make(append([]int64{9, 8, 0}, many...)...), 12, "[3] [4] [5] [6] [7] [8] [9] [10] [11] [12 13 14 15 16] [0 1]"},
		{make(append([]int64{9, 8, 0}, many...)...), 2, "[3]"},
		{make(20, 30, 9, 8), 3, "[1] [2 3]"},
	} {
		var got []string
		for _, p := range Divide(c.all, c.n) {
			got = append(got, fmt.Sprint(p.Names))
		}
		if text := strings.Join(got, " "); text != c.want || len(got) >= max(c.n, 1) {
			t.Errorf("got %s, want %s", text, c.want)
		}
	}
}

// Lists of no honest length claim nothing, and cost little: a list that is too large is not read, and there is an end to
// the names of all lists together. What other lists claim stays.
func TestLongListsClaimNothing(t *testing.T) {
	root := t.TempDir()
	rows := strings.Repeat("a,,\n", maxClaims/2)
	for name, text := range map[string]string{
		"sp/a-1.dist-info/RECORD": "a/x,,\n",
		"sp/b-1.dist-info/RECORD": rows + rows + rows,                                        // too many names
		"sp/c-1.dist-info/RECORD": strings.Repeat("x", maxList+1),                            // too many bytes
		"sp/d-1.dist-info/RECORD": rows,                                                      // as many as there may be, but for a few
		"sp/e-1.dist-info/RECORD": rows,                                                      // too many after d
		"conda-meta/z-1.json":     `{"files":["y"` + strings.Repeat(`,""`, maxClaims) + "]}", // too many
		"conda-meta/y-1.json":     `{"files":["y"]}`,
	} {
		if err := os.MkdirAll(root+"/"+path.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Name)
	}
	if got, want := fmt.Sprint(names), "[y 1 a 1 d 1]"; got != want {
		t.Errorf("distributions %s, want %s", got, want)
	}
}
