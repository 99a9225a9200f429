package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

// large is text that is large when it is compressed, too.
func large(seed string) string {
	var b strings.Builder
	for i := range 8000 {
		sum := sha256.Sum256(fmt.Append(nil, seed, i))
		fmt.Fprintln(&b, "#", hex.EncodeToString(sum[:]))
	}
	return b.String()
}

// testFetchedFilesCross has two scopes fetch the same wheels.
func (p *pythonBench) testFetchedFilesCross(t *testing.T) {
	wheel := func(name, version, text string) testimage.Wheel {
		return testimage.Wheel{Name: name, Version: version, Files: map[string]string{name + ".py": "version = " + text + "\n" + large(name+text)}}
	}
	var want []string
	install := "RUN pip install"
	for i := range 4 {
		name := fmt.Sprintf("big%d", i)
		if err := p.Add(wheel(name, "1.0", "1")); err != nil {
			t.Fatal(err)
		}
		want = append(want, name+"-1.0-py3-none-any.whl")
		install += " " + name
	}
	text := "FROM base\n" + install + "\n"
	p.run(text, inScope("one"))
	if got := testimage.Wheels(p.Log()); !slices.Equal(got, want) {
		t.Fatalf("the first scope fetched %q", got)
	}
	fresh := 0
	for i := range 5 { // a race that is lost costs a download
		_, files := p.run(text, inScope(fmt.Sprint("two", i)))
		if !files["/usr/local/lib/python3.11/dist-packages/big0.py"] {
			t.Error("big0 is not installed")
		}
		fresh += len(testimage.Wheels(p.Log()))
	}
	t.Logf("5 scopes fetched %d of 20 wheels", fresh)
	if fresh > 10 {
		t.Errorf("5 scopes fetched %d of 20 wheels that another one has", fresh)
	}

	// Whoever writes into a file that is lent is found out.
	p.tamper("one")
	_, files := p.run(text+"RUN grep -L changed /usr/local/lib/python3.11/dist-packages/big*.py | wc -l | grep -x 4\n", inScope("three"))
	if !files["/usr/local/lib/python3.11/dist-packages/big0.py"] {
		t.Error("big0 is not installed")
	}

	// What an index says here counts here, not what another scope was told of the same file.
	if err := p.Add(wheel("big0", "1.0", "2")); err != nil {
		t.Fatal(err)
	}
	p.Log()
	p.run(text+"RUN python3 -c 'import big0; assert big0.version == 2'\n", inScope("four"))
	if got := testimage.Wheels(p.Log()); !slices.Contains(got, want[0]) {
		t.Errorf("the fourth scope fetched %q, and its index has another big0", got)
	}
}

// tamper changes the bodies in the cache of a scope in place.
func (p *pythonBench) tamper(scope string) {
	p.Helper()
	all, err := p.Caches.List()
	if err != nil {
		p.Fatal(err)
	}
	changed := 0
	for _, c := range all {
		if c.Trust != scope || c.ID != "pip" {
			continue
		}
		err := filepath.WalkDir(c.Dir, func(path string, d os.DirEntry, err error) error {
			info, statErr := os.Lstat(path)
			if err != nil || statErr != nil || !info.Mode().IsRegular() || info.Size() < 100_000 {
				return err
			}
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			changed++
			_, err = f.WriteAt([]byte("changed"), 50_000)
			return err
		})
		if err != nil {
			p.Fatal(err)
		}
	}
	if changed != 4 {
		p.Errorf("%d files were changed", changed)
	}
}
