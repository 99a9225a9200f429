package build

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

// A file that was published again under its name, and one that is broken, cost one more try, and no more in the next build.
func (p *pythonBench) testPublishedAgain(t *testing.T) {
	text := "FROM base\nRUN pip install part0==1.0 part1==1.0 && python3 -c 'import part0; print(part0.__doc__)'\n"
	again := func(r *Request) { r.NoCache = true }
	p.run(text)
	if err := p.Add(testimage.Wheel{Name: "part0", Version: "1.0", Files: map[string]string{"part0.py": "'published again'\n"}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		p.Log()
		p.run(text, again)
		if got := p.tries(); got != want {
			t.Errorf("build %d after a wheel was published again: %d more tries\n%s", i+1, got, p.output())
		}
		if !strings.Contains(p.output(), "published again") {
			t.Errorf("build %d has the old wheel: %s", i+1, p.output())
		}
	}
	if got := testimage.Wheels(p.Log()); len(got) > 0 {
		t.Errorf("the last build fetched %v", got)
	}
	p.spoil()
	for i, want := range []int{1, 0} {
		if p.run(text, again); p.tries() != want {
			t.Errorf("build %d after wheels were spoilt: %d more tries", i+1, p.tries())
		}
	}
	for _, command := range []string{"pip install --require-hashes -r /r.txt", "echo THESE PACKAGES DO NOT MATCH THE HASHES; pip install part0==7", "pip install part0==1.0 && exit 1"} {
		p.file("r.txt", "part2==1.0 --hash=sha256:"+strings.Repeat("0", 64)+"\n")
		p.renew()
		p.fails("FROM base\nCOPY r.txt /\nRUN " + command + "\n")
		if p.tries() > 0 {
			t.Errorf("%s: tried again", command)
		}
	}
}

// tries counts how often a step was said to run once more.
func (p *pythonBench) tries() (n int) {
	for _, e := range p.events {
		if e.Type == Notice && strings.Contains(e.Text, "once more") {
			n++
		}
	}
	return n
}

// spoil changes a byte of each wheel that pip has fetched.
func (p *pythonBench) spoil() {
	p.Helper()
	all, err := p.Caches.List()
	if err != nil {
		p.Fatal(err)
	}
	for _, c := range all {
		files, _ := filepath.Glob(filepath.Join(c.Dir, "http*/*/*/*/*/*/*"))
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				p.Fatal(err)
			}
			if i := bytes.Index(data, []byte("PK\x03\x04")); i >= 0 {
				data[i+60] ^= 1
				if err := os.WriteFile(name, data, 0o600); err != nil {
					p.Fatal(err)
				}
			}
		}
	}
}

// fails builds what must fail.
func (p *pythonBench) fails(text string) {
	p.Helper()
	p.events = nil
	if _, err := p.try(text, p.mirrored); err == nil {
		p.Errorf("%s succeeded", text)
	}
}
