package files

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

const packBase = `
	mkdir -p etc app/old app/same bin; ln -s app link; ln -s /nowhere dangling
	printf 'root:x:0:0::/:/bin/sh\nann:x:1234:1235::/:/bin/sh\n' >etc/passwd; printf 'staff:x:50:\n' >etc/group
	echo same >app/same/file; echo old >app/old/file; ln -s file app/old/link; chmod 0750 app; chown 7:8 app
	chmod 0755 app/same; touch -d @1000000000 app/same/file app/same app/old/file`

const packContext = `
	mkdir -p src/deep/er src/empty src/old src/same src/z
	echo same >src/same/file; echo newer >src/old/file; ln -s file src/old/link; touch -d @1000000000 src/same/file
	echo 1 >src/one; echo b >src/deep/er/b; ln -s ../one src/deep/up; chmod 4711 src/one; chmod 1777 src/z; chmod 0700 src/deep
	echo l >src/z/l; ln src/z/l src/deep/hard; mkfifo src/z/fifo; head -c 200000 /dev/urandom >src/deep/big
	touch -d @1234567890.5 src src/empty src/deep/er/b`

// copies are COPY instructions; those with a reason cannot be packed.
var packCopies = []struct {
	name, sources, dest string
	change              func(*dockerfile.Copy)
	refused             string
	compared            bool // content decides whether a file is new: an index does not suffice
}{
	{name: "new", sources: "src", dest: "/fresh/place"},
	{name: "slash", sources: "src/", dest: "/fresh/"},
	{name: "root", sources: "src", dest: "/"},
	{name: "dot", sources: ".", dest: "/app"},
	{name: "merge", sources: "src", dest: "/app", compared: true},
	{name: "through a link", sources: "src", dest: "/link/x"},
	{name: "dangling", sources: "src", dest: "/dangling"},
	{name: "empty", sources: "src/empty", dest: "/bin"},
	{name: "empty and new", sources: "src/empty", dest: "/a/b"},
	{name: "empty and there", sources: "src", dest: "/hollow"},
	{name: "chown", sources: "src", dest: "/app", change: chown("ann:staff")},
	{name: "chown number", sources: "src", dest: "/n/m", change: chown("5")},
	{name: "chmod", sources: "src", dest: "/n/m", change: chmodTo("0751")},
	{name: "chmod symbolic", sources: "src", dest: "/app", change: chmodTo("go=u-w"), compared: true},
	{name: "exclude", sources: "src", dest: "/app", change: exclude("deep/er", "**/link"), compared: true},
	{name: "link", sources: "src", dest: "/app/x", change: linked},
	{name: "link over a link", sources: "src", dest: "/link/x", change: linked},
	{name: "link and chmod", sources: "src", dest: "/link/x", change: func(c *dockerfile.Copy) { linked(c); c.Chmod = "0700" }},
	{name: "add", sources: "src", dest: "/app/", change: added, compared: true},
	{name: "one file", sources: "src/one", dest: "/app/one"},
	{name: "one file into", sources: "src/one", dest: "/app"},
	{name: "one file to a new place", sources: "src/one", dest: "/a/b/"},
	{name: "one file at the top", sources: "src/one", dest: "/uno"},
	{name: "one file through a link", sources: "src/one", dest: "/link/old/file"},
	{name: "one file over another", sources: "src/one", dest: "/etc/passwd", change: chown("ann")},
	{name: "one file to a dangling link", sources: "src/one", dest: "/dangling", change: chmodTo("u+x")},
	{name: "the same file", sources: "src/same/file", dest: "/app/same/", compared: true},
	{name: "a link", sources: "src/old/link", dest: "/app/x/"},
	{name: "several files", sources: "src/one src/deep/er/b src/deep/hard", dest: "/app/", change: chown("ann:staff")},
	{name: "files by pattern", sources: "src/o[a-z]e src/*/h*", dest: "/n/m/"},
	{name: "linked files", sources: "src/one src/deep/big", dest: "/app/old/", change: linked},
	{name: "two of one name", sources: "src/old/file src/same/file", dest: "/n/", refused: "the last counts"},
	{name: "a file and a directory", sources: "src/one src/old", dest: "/n/", refused: "two sources"},
	{name: "an archive", sources: "src/one", dest: "/n/", change: added, refused: "it may be one"},
	{name: "a file on a directory", sources: "src/z/l", dest: "/onto/", refused: "a directory is there"},
	{name: "below a file by name", sources: "src/one", dest: "/etc/passwd/x/", refused: "a file"},
	{name: "over a file", sources: "src", dest: "/etc/passwd", refused: "a file"},
	{name: "below a file", sources: "src", dest: "/etc/passwd/x", refused: "a file"},
	{name: "names of one file", sources: "src/deep", dest: "/hard", refused: "a name is there"},
	{name: "file on directory", sources: "src", dest: "/taken", refused: "a directory is there"},
	{name: "directory on file", sources: "src", dest: "/reverse", refused: "a file is there"},
	{name: "attributes", sources: "src", dest: "/attributed", refused: "they are merged"},
}

// TestPack holds Pack to the layers that drafts give, and what is unpacked from them to the drafts.
func TestPack(t *testing.T) {
	for _, test := range packCopies {
		t.Run(test.name, func(t *testing.T) {
			b := newCopyBench(t)
			b.shell(packContext)
			b.base(packBase + "\nmkdir -p hard taken/one reverse attributed/deep onto/l hollow/empty; touch hard/hard reverse/deep\nfind . -exec touch -h -d @1000000000 {} +")
			b.step(func(d *layers.Draft) error {
				return errors.Join(d.CopyUp("/attributed/deep"), unix.Setxattr(d.Dir()+"/attributed/deep", "user.a", []byte("b"), 0))
			})
			change := test.change
			if change == nil {
				change = func(*dockerfile.Copy) {}
			}
			b.comparePacked(copyStep(test.sources, test.dest, change), test.refused != "", test.compared)
		})
	}
}

func (b *copyBench) comparePacked(c *dockerfile.Copy, refused, compared bool) {
	b.Helper()
	epoch := int64(1_500_000_000) // directories on the way change now
	o := layers.LayerOptions{Compression: codec.Compression{Level: 1}, Epoch: &epoch, Alone: Linked(c), Index: true}
	parent, tree, packed := b.parent, b.open().Tree(), layers.Key{1}
	lower, err := b.store.View(parent)
	if err != nil {
		b.Fatal(err)
	}
	known := b.indexView(false)
	if Linked(c) {
		lower, known = rootfs.NewView(), rootfs.NewView()
	}
	err = b.pack(packed, parent, lower, c, tree, o)
	if refused || err != nil {
		if !refused || !errors.Is(err, ErrNotPackable) || b.store.Has(packed) {
			b.Fatalf("refused = %v, error %v", refused, err)
		}
		if err := b.pack(packed, layers.Key{9}, known, c, tree, o); !errors.Is(err, ErrNotPackable) {
			b.Errorf("on an index: %v", err)
		}
		_ = b.try(c)
		return
	}
	b.step(func(d *layers.Draft) error { return CopyInto(b.Context(), d, c, tree, remote.Fetcher{Store: b.store}) })
	want := b.diffID(b.parent, o)
	if got := b.diffID(packed, o); got != want {
		b.Errorf("the layer is %s, of a draft %s", got, want)
	}
	err = b.pack(layers.Key{2}, layers.Key{9}, known, c, tree, o)
	if compared && errors.Is(err, rootfs.ErrNoContent) {
		err = nil
	} else if got := b.diffID(layers.Key{2}, o); got != want || b.store.Has(layers.Key{2}) || compared {
		b.Errorf("on an index the layer is %s, of a draft %s", got, want)
	}
	if err != nil {
		b.Error(err)
	}
	b.comparePackedOnSums(want, c, tree, o)
	if b.store.Unpacked(packed) || !b.store.Has(packed) {
		b.Error("it is not packed")
	}
	if err := b.store.Expand(b.Context(), packed); err != nil {
		b.Fatal(err)
	}
	sameState(b.T, b.store, packed, b.parent)
}

// comparePackedOnSums packs on an index with the digests of files, which always suffices.
func (b *copyBench) comparePackedOnSums(want string, c *dockerfile.Copy, tree Tree, o layers.LayerOptions) {
	b.Helper()
	all := b.states
	b.states = all[:len(all)-1] // without the draft's
	defer func() { b.states = all }()
	known := b.indexView(true)
	if Linked(c) {
		known = rootfs.NewView()
	}
	if err := b.pack(layers.Key{3}, layers.Key{9}, known, c, tree, o); err != nil {
		b.Error(err)
	} else if got := b.diffID(layers.Key{3}, o); got != want {
		b.Errorf("on an index with digests the layer is %s, of a draft %s", got, want)
	}
}

func (b *copyBench) pack(k, parent layers.Key, lower *rootfs.View, c *dockerfile.Copy, tree Tree, o layers.LayerOptions) error {
	fill, err := Packing(b.Context(), tree, c)
	if err != nil {
		return err
	}
	return b.store.Pack(b.Context(), k, parent, lower, o, fill)
}

// indexView shows the state by the indexes of its snapshots.
func (b *copyBench) indexView(sums bool) *rootfs.View {
	b.Helper()
	var all []rootfs.Index
	for _, k := range slices.Backward(b.states) {
		list, _, err := b.store.Layers(b.Context(), k, layers.LayerOptions{})
		if err != nil {
			b.Fatal(err)
		}
		data, err := b.store.MakeIndex(b.Context(), k, list, sums)
		if err != nil {
			b.Fatal(err)
		}
		x, err := rootfs.OpenIndex(data, nil)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, x)
	}
	return rootfs.IndexView(all...)
}

func (b *copyBench) diffID(k layers.Key, o layers.LayerOptions) string {
	b.Helper()
	all, _, err := b.store.Layers(b.Context(), k, o)
	if err != nil || len(all) != 1 {
		b.Fatal(all, err)
	}
	id, err := all[0].DiffID()
	if err != nil {
		b.Fatal(err)
	}
	return id.String()
}

// sameState compares all but the fractions of seconds that a layer cannot carry.
func sameState(t *testing.T, s *layers.Store, got, want layers.Key) {
	t.Helper()
	var lists [2][]string
	for i, k := range []layers.Key{got, want} {
		v, err := s.View(k)
		if err != nil {
			t.Fatal(err)
		}
		names := map[uint64]string{}
		if err := v.Walk("/", func(e *rootfs.Entry) error { lists[i] = append(lists[i], describe(t, e, names)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range max(len(lists[0]), len(lists[1])) {
		if i >= len(lists[0]) || i >= len(lists[1]) || lists[0][i] != lists[1][i] {
			t.Fatalf("got:\n%q\nwant:\n%q", lists[0], lists[1])
		}
	}
}

// TestPackDir holds PackDir to the layers that MakeDir gives.
func TestPackDir(t *testing.T) {
	at, epoch := time.Unix(1_400_000_000, 0), int64(1_500_000_000)
	for _, m := range []dockerfile.Mkdir{{Path: "/app"}, {Path: "/"}, {Path: "/app/new/er"}, {Path: "/link/new", User: "ann:staff"},
		{Path: "/dangling/x", User: "5"}, {Path: "/app/new/er", User: "ann", Time: &at}} {
		b := newCopyBench(t)
		b.base(packBase)
		o := layers.LayerOptions{Compression: codec.Compression{Level: 1}, Epoch: &epoch}
		v := b.indexView(false)
		err := b.store.Pack(t.Context(), layers.Key{1}, layers.Key{9}, v, o, func(l *rootfs.LayerWriter) error { return PackDir(l, &m) })
		if err != nil {
			t.Fatal(err)
		}
		b.step(func(d *layers.Draft) error { return MakeDir(d, &m) })
		if got, want := b.diffID(layers.Key{1}, o), b.diffID(b.parent, o); got != want {
			t.Errorf("WORKDIR %s of %q: the layer is %s, of a draft %s", m.Path, m.User, got, want)
		}
	}
	b := newCopyBench(t)
	b.base(packBase)
	err := b.store.Pack(t.Context(), layers.Key{1}, layers.Key{9}, b.indexView(false), layers.LayerOptions{}, func(l *rootfs.LayerWriter) error {
		return PackDir(l, &dockerfile.Mkdir{Path: "/etc/passwd/x"})
	})
	if !errors.Is(err, ErrNotPackable) {
		t.Errorf("below a file: %v", err)
	}
}

// TestPackChanged packs a context in which a file changes after it was listed.
func TestPackChanged(t *testing.T) {
	b := newCopyBench(t)
	b.shell("mkdir src; echo 1 >src/a; echo 2 >src/b")
	c, tree := copyStep("src", "/"), b.open().Tree()
	if _, err := DigestCopy(b.Context(), tree, c, remote.Fetcher{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.context, "src/b"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := b.pack(layers.Key{1}, layers.Key{}, rootfs.NewView(), c, tree, layers.LayerOptions{})
	if err == nil || !strings.Contains(err.Error(), `"/src/b" changed while it was read`) || b.store.Has(layers.Key{1}) {
		t.Errorf("error %v", err)
	}
}
