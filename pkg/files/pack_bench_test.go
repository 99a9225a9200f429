package files

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

// copyMany is what the copy benchmarks copy: count files of 9 KB each, in nested directories.
type copyMany struct {
	*testing.B
	context string
	size    int64
	store   *layers.Store
	keys    byte
}

func newCopyMany(b *testing.B, count int) *copyMany {
	unix.Umask(0o022)
	m := &copyMany{B: b, context: b.TempDir()}
	data := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = " etaoinshrdlu\n"[r.IntN(14)]
	}
	for i := range count {
		name := fmt.Sprintf("%s/%d/%d/%d/f", m.context, i/1000, i/100%10, i/10%10) + fmt.Sprint(i)
		if i%10 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		at := r.IntN(len(data) - 9000)
		if err := os.WriteFile(name, data[at:at+9000], 0o644); err != nil {
			b.Fatal(err)
		}
		m.size += 9000
	}
	var err error
	if m.store, err = layers.Open(filepath.Join(b.TempDir(), "store")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.store.Close() })
	return m
}

// digested opens the context anew, as each build does, and hashes all of it.
func (m *copyMany) digested(c *dockerfile.Copy) *Context {
	x, err := OpenContext(m.Context(), m.context, ContextOptions{})
	if err != nil {
		m.Fatal(err)
	}
	if _, err := DigestCopy(m.Context(), x.Tree(), c, remote.Fetcher{}); err != nil {
		m.Fatal(err)
	}
	return x
}

// run measures one way of making a new state.
func (m *copyMany) run(name string, work func(k layers.Key)) {
	m.Run(name, func(b *testing.B) {
		b.SetBytes(m.size)
		for b.Loop() {
			m.keys++
			work(layers.Key{m.keys, 1})
		}
	})
}

// BenchmarkCopyMany measures what a COPY of many files costs, beside what it cannot be cheaper than: the reading and hashing
// of the files, and for the draft the making of them.
func BenchmarkCopyMany(b *testing.B) {
	for _, count := range []int{1000, 4000, 16000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) { copyManyWays(newCopyMany(b, count)) })
	}
}

func copyManyWays(m *copyMany) {
	c, plain := copyStep(".", "/x"), layers.LayerOptions{Compression: codec.Compression{Algorithm: "none"}}
	m.run("limit-read-sha256", func(layers.Key) { m.each(func(f io.Reader) { io.Copy(sha256.New(), f) }) })
	m.run("limit-write-files", func(k layers.Key) { m.write(k) })
	m.run("digest", func(layers.Key) { m.digested(c).Close() })
	m.run("pack", func(k layers.Key) {
		x := m.digested(c)
		defer x.Close()
		m.pack(k, x, c, plain)
	})
	m.run("draft-and-layer", func(k layers.Key) {
		x := m.digested(c)
		defer x.Close()
		m.draft(k, x, c, plain)
	})
}

func (m *copyMany) check(err error) {
	if err != nil {
		m.Fatal(err)
	}
}

func (m *copyMany) each(use func(f io.Reader)) {
	m.check(filepath.WalkDir(m.context, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		m.check(err)
		defer f.Close()
		use(f)
		return nil
	}))
}

// write copies the files with a name for each.
func (m *copyMany) write(k layers.Key) {
	dir, n := filepath.Join(m.TempDir(), k.String()), 0
	m.each(func(f io.Reader) {
		if n%10 == 0 {
			m.check(os.MkdirAll(fmt.Sprint(dir, "/", n/10), 0o755))
		}
		out, err := os.Create(fmt.Sprint(dir, "/", n/10, "/", n))
		m.check(err)
		_, err = io.Copy(out, f)
		m.check(err)
		m.check(out.Close())
		n++
	})
}

func (m *copyMany) pack(k layers.Key, x *Context, c *dockerfile.Copy, o layers.LayerOptions) {
	picks, err := pickLocal(m.Context(), x.Tree(), c, c.Sources[0])
	m.check(err)
	m.check(m.store.Pack(m.Context(), k, layers.Key{}, rootfs.NewView(), o, func(l *rootfs.LayerWriter) error {
		return packCopy(m.Context(), l, c, picks)
	}))
}

func (m *copyMany) draft(k layers.Key, x *Context, c *dockerfile.Copy, o layers.LayerOptions) {
	d, err := m.store.Draft(m.Context(), layers.Key{})
	m.check(err)
	m.check(CopyInto(m.Context(), d, c, x.Tree(), remote.Fetcher{Store: m.store}))
	m.check(d.Commit(m.Context(), k))
	_, _, err = m.store.Layers(m.Context(), k, o)
	m.check(err)
}
