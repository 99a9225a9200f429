package files

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/remote"
)

func (b *copyBench) digest(c *dockerfile.Copy) [32]byte {
	b.Helper()
	sum, err := DigestCopy(b.Context(), b.open().Tree(), c, remote.Fetcher{Store: b.store})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}

func TestDigestNotices(t *testing.T) {
	all := copyStep(".", "/x")
	tests := []struct {
		name, before, change string
		step                 *dockerfile.Copy
		same                 bool
	}{
		{"bytes", "echo 1 >f", "echo 2 >f", all, false},
		{"mode", "echo >f", "chmod 600 f", all, false},
		{"setuid", "echo >f", "chmod 4644 f", all, false},
		{"mode of a directory", "mkdir d", "chmod 700 d", all, false},
		{"name", "echo >f", "mv f g", all, false},
		{"new file", "echo >f", "echo >g", all, false},
		{"empty directory", "echo >f", "mkdir g", all, false},
		{"link target", "ln -s a l", "ln -sfn b l", all, false},
		{"type", "echo >f", "rm f; mkfifo f", all, false},
		{"a file moves between directories", "mkdir a b; echo >a/f", "mv a/f b/f", all, false},
		{"time", "mkdir d; echo >d/f", "touch -d @1 d/f d", all, true},
		{"owner in a context", "echo >f", "chown 5:6 f", all, true},
		{"hard link or copy", "echo >f; cp f g", "ln -f f g", all, true},
		{"mode of the top", "mkdir d; echo >d/f", "chmod 700 d", copyStep("d", "/x"), true},
		{"something else", "mkdir d; echo >d/f; echo >g", "echo 1 >g", copyStep("d", "/x"), true},
		{"ignored", "echo g >.dockerignore; echo >f", "echo >g", copyStep(".", "/x"), true},
		{"excluded", "mkdir d; echo >d/f", "echo >d/g", copyStep("d", "/x", exclude("g")), true},
		{"included by --parents", "mkdir d e; echo >d/f; echo >e/g", "echo >e/h", copyStep("d/* e/g", "/x", parents), true},
		{"mode of a parent", "mkdir d; echo >d/f", "chmod 700 d", copyStep("d/f", "/x", parents), false},
		{"wildcard rename", "echo >a.txt", "mv a.txt c.txt", copyStep("*.txt", "/x/"), false},
		{"wildcard not matched", "echo >a.txt", "echo >a.md", copyStep("*.txt", "/x/"), true},
		{"directory renamed below a link", "mkdir a; echo >a/f; ln -s a l", "mv a b; ln -sfn b l", copyStep("l", "/x"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newCopyBench(t)
			b.shell(tt.before)
			before := b.digest(tt.step)
			b.shell(tt.change)
			if after := b.digest(tt.step); (after == before) != tt.same {
				t.Errorf("same: %v, want %v", after == before, tt.same)
			}
		})
	}
}

func TestDigestOfStateAndContextAgree(t *testing.T) {
	b := newCopyBench(t)
	script := "mkdir -p d/e; echo 1 >d/e/f; ln -s f d/e/l; chmod 700 d/e; mkfifo d/p"
	b.shell(script)
	b.base(script)
	v, err := b.store.View(b.parent)
	if err != nil {
		t.Fatal(err)
	}
	step := copyStep("d", "/x")
	ofState, err := DigestCopy(t.Context(), ViewTree(v), step, remote.Fetcher{Store: b.store})
	if err != nil {
		t.Fatal(err)
	}
	if ofState != b.digest(step) {
		t.Error("the same files have two digests")
	}
	path1, err1 := DigestPath(t.Context(), ViewTree(v), "d/../d/e")
	path2, err2 := DigestPath(t.Context(), b.open().Tree(), "/d/e")
	if err1 != nil || err2 != nil || path1 != path2 || path1 == ofState {
		t.Errorf("%v %v %x %x", err1, err2, path1, path2)
	}
}

func TestHashesAreRemembered(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "f")
	write := func(text string, age time.Duration) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		os.Chtimes(file, when, when)
	}
	sum := func(now time.Time) ([32]byte, *hashes) {
		t.Helper()
		c, err := OpenContext(t.Context(), dir, ContextOptions{StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		c.hashes.now = func() time.Time { return now }
		got, err := DigestPath(t.Context(), c.Tree(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		return got, c.hashes
	}
	kept := func(h *hashes) bool {
		fresh := newHashes(h.file)
		fresh.load()
		return len(fresh.kept) > 0
	}
	write("one", time.Hour)
	first, h := sum(time.Now())
	if kept(h) {
		t.Error("the hash of a file that was made a moment ago is kept")
	}
	later := time.Now().Add(time.Hour)
	if again, h := sum(later); again != first || !kept(h) {
		t.Error("the hash of an old file is not kept")
	}
	write("two", time.Hour) // same size, same mtime but for nanoseconds
	if changed, _ := sum(later); changed == first {
		t.Error("a change was not noticed")
	}
	data, err := os.ReadFile(h.file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	os.WriteFile(h.file, data, 0o600)
	if kept(h) {
		t.Error("a damaged file is believed")
	}
}

// BenchmarkDigestUnchanged is a warm build of a large context.
func BenchmarkDigestUnchanged(b *testing.B) {
	dir, state := b.TempDir(), b.TempDir()
	for i := range 30000 {
		name := filepath.Join(dir, fmt.Sprint(i%300), fmt.Sprint(i))
		os.MkdirAll(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	store, err := layers.Open(filepath.Join(b.TempDir(), "store"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	digest := func() {
		c, err := OpenContext(b.Context(), dir, ContextOptions{StateDir: state})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := DigestCopy(b.Context(), c.Tree(), copyStep(".", "/x"), remote.Fetcher{Store: store}); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	time.Sleep(racy)
	digest()
	for b.Loop() {
		digest()
	}
}
