package build

import (
	"io"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers"
)

// TestPackedStep builds on a state that is packed: with a RUN, from another stage, with its files as the result.
func TestPackedStep(t *testing.T) {
	b := newBench(t)
	b.file("src/f", "text")
	const text = "FROM scratch\nWORKDIR /w\nCOPY src /w/src\nCMD [\"x\"]\n"
	first := b.build(text)
	if b.Store.Unpacked(first.Key) {
		t.Fatal("the state is not packed")
	}
	if again := b.build(text); again.Steps != 0 || again.Key != first.Key || b.Store.Unpacked(first.Key) {
		t.Errorf("the second build ran %d steps", again.Steps)
	}
	b.wantFile(b.build(text+"RUN write /after x").Key, "/w/src/f", "text")
	b.wantRan("write /after x")
	b.file("src/f", "other")
	b.build(text)
	from := b.build("FROM scratch AS a\nWORKDIR /w\nCOPY src /w/src\nFROM scratch\nCOPY --from=a /w/src/f /g")
	b.wantFile(from.Key, "/g", "other")
	b.file("src/f", "third")
	packed := b.build(text)
	files := b.mustTry(text, func(r *Request) { r.NoLayers = true })
	if files.Key != packed.Key {
		t.Error("another state")
	}
	if err := b.Store.Expand(t.Context(), files.Key); err != nil {
		t.Fatal(err)
	}
	b.wantFile(files.Key, "/w/src/f", "third")
}

// TestPackedDistributions has a COPY that could become layers of distributions, and so is made file by file.
func TestPackedDistributions(t *testing.T) {
	b := newBench(t)
	b.file("sp/x-1.dist-info/RECORD", "x/f,,\n")
	b.file("sp/x/f", "text")
	const text = "FROM scratch\nCOPY sp /sp\n"
	if r := b.build(text); !b.Store.Unpacked(r.Key) {
		t.Error("the state is packed")
	}
	b.file("sp/x/f", "other")
	if r := b.build(text, func(r *Request) { r.Layering = StepLayers }); b.Store.Unpacked(r.Key) {
		t.Error("the state is not packed")
	}
}

func (b *bench) mustTry(text string, change ...func(*Request)) *Result {
	b.Helper()
	r, err := b.try(text, change...)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bench) wantFile(k layers.Key, name, want string) {
	b.Helper()
	if err := b.Store.Expand(b.T.Context(), k); err != nil {
		b.Fatal(err)
	}
	v, err := b.Store.View(k)
	if err != nil {
		b.Fatal(err)
	}
	f, err := v.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); string(data) != want || err != nil {
		b.Errorf("%s has %q, %v", name, data, err)
	}
}
