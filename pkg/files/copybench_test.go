package files

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

// copyBench copies from a directory into drafts of a store.
type copyBench struct {
	*testing.T
	store   *layers.Store
	context string
	parent  layers.Key
	states  []layers.Key // those that parent stands on, and itself
}

func newCopyBench(t *testing.T) *copyBench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners can only be set by root")
	}
	unix.Umask(0o022)
	store, err := layers.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &copyBench{T: t, store: store, context: t.TempDir()}
}

// shell runs a script in the context.
func (b *copyBench) shell(script string) {
	b.Helper()
	b.shellIn(b.context, script)
}

func (b *copyBench) shellIn(dir, script string) {
	b.Helper()
	cmd := exec.Command("/bin/sh", "-euc", "umask 022\n"+script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// base makes the state that copies go onto.
func (b *copyBench) base(script string) {
	b.Helper()
	b.step(func(d *layers.Draft) error { b.shellIn(d.Dir(), script); return nil })
}

func (b *copyBench) step(f func(d *layers.Draft) error) {
	b.Helper()
	if err := b.tryStep(f); err != nil {
		b.Fatal(err)
	}
}

func (b *copyBench) tryStep(f func(d *layers.Draft) error) error {
	b.Helper()
	d, err := b.store.Draft(b.Context(), b.parent)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Discard()
	if err := f(d); err != nil {
		return err
	}
	key := layers.Key(sha256.Sum256(append(b.parent[:], d.Dir()...)))
	if err := d.Commit(b.Context(), key); err != nil {
		b.Fatal(err)
	}
	b.parent, b.states = key, append(b.states, key)
	return nil
}

func (b *copyBench) open() *Context {
	b.Helper()
	c, err := OpenContext(b.Context(), b.context, ContextOptions{StateDir: b.store.Dir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func (b *copyBench) try(c *dockerfile.Copy) error {
	b.Helper()
	tree, fetcher := b.open().Tree(), remote.Fetcher{Store: b.store}
	before := slices.Clone(b.states)
	err := b.tryStep(func(d *layers.Draft) error { return CopyInto(b.Context(), d, c, tree, fetcher) })
	b.packsTheSame(before, err, c, tree, fetcher)
	return err
}

// packsTheSame holds PackCopy, over indexes of states, to the layer of the draft that was made over them, or to its error.
func (b *copyBench) packsTheSame(over []layers.Key, drafted error, c *dockerfile.Copy, tree Tree, o remote.Fetcher) {
	b.Helper()
	epoch := int64(1_500_000_000) // directories on the way change now
	how := layers.LayerOptions{Compression: codec.Compression{Level: 1}, Epoch: &epoch, Alone: Linked(c)}
	made := b.states
	b.states = over
	lower := b.indexView(true)
	b.states = made
	if Linked(c) {
		lower = rootfs.NewView()
	}
	key := layers.Key(sha256.Sum256([]byte(rand.Text())))
	dir := b.TempDir()
	spool := &rootfs.Spool{Dir: func() (string, error) { return dir, nil }}
	defer spool.Close()
	err := b.store.Pack(b.Context(), key, layers.Key{9}, lower, how, func(l *rootfs.LayerWriter) error {
		return PackCopy(b.Context(), l, c, tree, o, spool)
	})
	switch {
	case err == nil && drafted == nil:
		if got, want := b.diffID(key, how), b.diffID(b.parent, how); got != want {
			b.Errorf("%s %v %s: the layer that is packed in memory is %s, of a draft %s", c.Title, c.Sources, c.Dest, got, want)
		}
	case err == nil || drafted == nil || err.Error() != drafted.Error():
		b.Errorf("%v %s: packed in memory: %v, in a draft: %v", c.Sources, c.Dest, err, drafted)
	}
}

func (b *copyBench) copy(sources, dest string, change ...func(*dockerfile.Copy)) {
	b.Helper()
	if err := b.try(copyStep(sources, dest, change...)); err != nil {
		b.Fatalf("COPY %s %s: %v", sources, dest, err)
	}
}

func copyStep(sources, dest string, change ...func(*dockerfile.Copy)) *dockerfile.Copy {
	c := &dockerfile.Copy{Sources: strings.Fields(sources), Dest: dest}
	for _, f := range change {
		f(c)
	}
	return c
}

func chown(s string) func(*dockerfile.Copy)      { return func(c *dockerfile.Copy) { c.Chown = s } }
func chmodTo(s string) func(*dockerfile.Copy)    { return func(c *dockerfile.Copy) { c.Chmod = s } }
func exclude(s ...string) func(*dockerfile.Copy) { return func(c *dockerfile.Copy) { c.Exclude = s } }
func parents(c *dockerfile.Copy)                 { c.Parents = true }
func linked(c *dockerfile.Copy)                  { c.Link = true }
func added(c *dockerfile.Copy)                   { c.Add = true }

// want compares the state with lines as in the goldens of the conformance cases: TYPE MODE UID:GID PATH [TEXT|-> TARGET].
func (b *copyBench) want(text string) {
	b.Helper()
	v, err := b.store.View(b.parent)
	if err != nil {
		b.Fatal(err)
	}
	wantTree(b.T, v, text)
}

func wantTree(t *testing.T, v *rootfs.View, text string) {
	t.Helper()
	var got []string
	names := map[uint64]string{}
	err := v.Walk("/", func(e *rootfs.Entry) error {
		if e.Path != "/" {
			got = append(got, describe(t, e, names))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func describe(t *testing.T, e *rootfs.Entry, names map[uint64]string) string {
	kind, rest := "?", ""
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		kind = "d"
	case unix.S_IFLNK:
		return fmt.Sprintf("l %d:%d %s -> %s", e.UID, e.GID, e.Path, e.Link)
	case unix.S_IFIFO:
		kind = "p"
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFREG:
		kind = "f"
		data, err := os.ReadFile(e.Source())
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < 40 {
			rest = " " + strings.TrimSuffix(string(data), "\n")
		}
		if first := names[e.Ino]; first != "" && e.Nlink > 1 {
			kind, rest = "h", " = "+first
		}
		names[e.Ino] = e.Path
	}
	return strings.TrimRight(fmt.Sprintf("%s %04o %d:%d %s%s", kind, e.Mode&0o7777, e.UID, e.GID, e.Path, rest), " ")
}
