package layers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

func someLayers(t testing.TB) []v1.Layer {
	gz := codec.Compression{}
	return []v1.Layer{
		layerOf(t, tarOf(t, "d etc", "f etc/passwd root", "d opt", "f opt/a a"), gz),
		layerOf(t, tarOf(t, "h linked etc/passwd", "f etc/new new", "f .wh.opt"), gz),
		layerOf(t, tarOf(t, "f opt/b b"), codec.Compression{Level: 1}),
	}
}

func TestUnpack(t *testing.T) {
	s := newStore(t)
	layers := someLayers(t)
	layers[0] = layerOf(t, layers[0].(*testLayer).tar, codec.Compression{Algorithm: "none"})
	layers[1] = layerOf(t, layers[1].(*testLayer).tar, codec.Compression{Algorithm: "zstd"})
	var done, total int64
	k, err := s.Unpack(t.Context(), layers, func(d, n int64) { done, total = d, n })
	check(t, err)
	if done != total || total == 0 {
		t.Errorf("progress %d of %d", done, total)
	}
	want := Key{}
	for _, l := range layers {
		diffID, _ := l.DiffID()
		want = ChainKey(want, diffID)
	}
	if k != want || !s.Has(k) {
		t.Errorf("key %s, want %s", k, want)
	}
	wantFiles(t, s, k, "/ /etc /etc/new /etc/passwd /linked /opt /opt/b")
	v, err := s.View(k)
	check(t, err)
	if got := read(t, v, "linked"); got != "root" {
		t.Errorf("linked: %q", got)
	}
	l, existed, err := oneLayer(t, s, k, codec.Compression{})
	check(t, err)
	got, _ := l.Digest()
	digest, _ := layers[2].Digest()
	if !existed || got != digest {
		t.Errorf("the layer of a base is made anew: %v %s", existed, got)
	}
	check(t, validate.Layer(l))
	again, err := s.Unpack(t.Context(), layers, func(int64, int64) { t.Error("something was read again") })
	if err != nil || again != k || *layers[0].(*testLayer).reads != 1 {
		t.Errorf("again: %v", err)
	}
	if left, _ := os.ReadDir(s.disk.own("drafts")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// Layers that are large are apart, so that no file of them has to be found a place beside those that were just removed.
func TestUnpackApart(t *testing.T) {
	apart := func(dir string) bool {
		d, err := os.Open(dir)
		check(t, err)
		defer d.Close()
		flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS)
		return err == nil && flags&topDirectory != 0
	}
	probe := t.TempDir()
	if setApart(probe); !apart(probe) {
		t.Skip("the filesystem has no directories that are apart")
	}
	s := newStore(t)
	for data, want := range map[string]bool{"small": false, string(testimage.Bytes(largeLayer)): true} {
		k, err := s.Unpack(t.Context(), []v1.Layer{layerOf(t, tarOf(t, "f a "+data), codec.Compression{Algorithm: "none"})}, nil)
		check(t, err)
		if got := apart(s.disk.snapshot(k)); got != want {
			t.Errorf("a layer of %d bytes: apart is %v", len(data), got)
		}
	}
}

func TestUnpackCorrupt(t *testing.T) {
	spoil := map[string]func(l *testLayer){
		"its bytes have the digest":            func(l *testLayer) { l.digest.Hex = strings.Repeat("0", 64) },
		"unpacks to":                           func(l *testLayer) { l.diffID.Hex = strings.Repeat("0", 64) },
		"ends too early|EOF":                   func(l *testLayer) { l.packed = l.packed[:len(l.packed)-9] },
		"bytes, the image says|ends too early": func(l *testLayer) { l.packed = append(l.packed, "more"...) },
	}
	for want, fn := range spoil {
		s := newStore(t)
		layers := someLayers(t)
		fn(layers[1].(*testLayer))
		_, err := s.Unpack(t.Context(), layers, nil)
		if err == nil || !anyOf(err.Error(), want+"|invalid header|mismatch") || !strings.Contains(err.Error(), "layer sha256:") {
			t.Errorf("%s: %v", want, err)
		}
		left, _ := filepath.Glob(s.Dir() + "/{drafts,ingest,snapshots}/*")
		if len(left) > 0 {
			t.Errorf("%s: left %v", want, left)
		}
	}
}

// A blob that rots is fetched again, and a layer that is made of it is, too.
func TestUnpackHeals(t *testing.T) {
	s := newStore(t)
	layers := someLayers(t)[:1]
	_, err := s.Unpack(t.Context(), layers, nil)
	check(t, err)
	digest, _ := layers[0].Digest()
	path, _ := s.disk.blob(digest)
	data, _ := os.ReadFile(path)
	data[len(data)/2] ^= 1
	os.Chmod(path, 0o600)
	check(t, os.WriteFile(path, data, 0o600))
	check(t, os.RemoveAll(s.disk.own("snapshots")))
	check(t, os.Mkdir(s.disk.own("snapshots"), 0o700))
	k, err := s.Unpack(t.Context(), layers, nil)
	check(t, err)
	if *layers[0].(*testLayer).reads != 2 {
		t.Errorf("read %d times", *layers[0].(*testLayer).reads)
	}
	l, _, err := oneLayer(t, s, k, codec.Compression{})
	check(t, err)
	check(t, validate.Layer(l))
}

// Many at once, of which no two share a Store, read each layer once.
func TestUnpackSingleFlight(t *testing.T) {
	s := newStore(t)
	layers := someLayers(t)
	var group sync.WaitGroup
	for range 8 {
		other, err := Open(s.Dir())
		check(t, err)
		group.Go(func() {
			defer other.Close()
			if _, err := other.Unpack(t.Context(), layers, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i, l := range layers {
		if n := *l.(*testLayer).reads; n != 1 {
			t.Errorf("layer %d was read %d times", i, n)
		}
	}
}

func TestBlob(t *testing.T) {
	s := newStore(t)
	d, err := s.PutBlob(t.Context(), strings.NewReader("hello"), v1.Hash{})
	check(t, err)
	r, size, err := s.Blob(d.Digest)
	check(t, err)
	data, err := io.ReadAll(r)
	r.Close()
	if err != nil || string(data) != "hello" || size != 5 {
		t.Errorf("%q %d %v", data, size, err)
	}
	var corrupt *CorruptError
	if _, err := s.PutBlob(t.Context(), strings.NewReader("other"), d.Digest); !errors.As(err, &corrupt) {
		t.Errorf("wrong digest: %v", err)
	}
	bad := []v1.Hash{{Algorithm: "sha256", Hex: "../../x"}, {Algorithm: "md5", Hex: "00"}, {Algorithm: "sha256"},
		{Algorithm: "sha256", Hex: strings.ToUpper(strings.Repeat("a", 64))}, {Algorithm: "../sha256", Hex: d.Digest.Hex}}
	for _, h := range bad {
		if _, _, err := s.Blob(h); err == nil {
			t.Errorf("digest %v is accepted", h)
		}
		if _, err := s.PutBlob(t.Context(), strings.NewReader("x"), h); err == nil {
			t.Errorf("digest %v is accepted", h)
		}
	}
	path, _ := s.disk.blob(d.Digest)
	os.Chmod(path, 0o600)
	write(t, path, "hellO")
	r, _, err = s.Blob(d.Digest)
	check(t, err)
	if _, err := io.ReadAll(r); !errors.As(err, &corrupt) {
		t.Errorf("a rotten blob: %v", err)
	}
	r.Close()
	if _, _, err := s.Blob(d.Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a rotten blob stays: %v", err)
	}
	if left, _ := os.ReadDir(s.disk.path("ingest")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func testImage(t testing.TB, s *Store) (v1.Image, Key) {
	base := someLayers(t)
	base[0].(*testLayer).source = "registry.test/base"
	k, err := s.Unpack(t.Context(), base, nil)
	check(t, err)
	change(t, s, k, keyOf("own"), func(root string) { write(t, root+"/own", "own") })
	l, existed, err := oneLayer(t, s, keyOf("own"), codec.Compression{})
	check(t, err)
	if existed {
		t.Error("a new layer existed")
	}
	img, err := mutate.AppendLayers(empty.Image, append(base, l)...)
	check(t, err)
	return img, keyOf("own")
}

func TestImages(t *testing.T) {
	s := newStore(t)
	img, _ := testImage(t, s)
	check(t, s.Tag("one:1", img))
	check(t, s.Tag("one:2", img))
	want, _ := img.Digest()
	id, _ := img.ConfigName()
	for _, name := range []string{"one:1", "one:2", id.String(), id.Hex[:8], want.Hex[:12], want.String()} {
		got, err := s.Image(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		check(t, validate.Image(got))
		if d, _ := got.Digest(); d != want {
			t.Errorf("%s: digest %s", name, d)
		}
		layers, _ := got.Layers()
		if sourceOf(layers[0]) != "registry.test/base" || sourceOf(layers[3]) != "" {
			t.Errorf("%s: sources are lost", name)
		}
	}
	infos, err := s.Images()
	if err != nil || len(infos) != 2 || infos[1].Name != "one:2" || infos[0].ID != id || infos[0].Size == 0 {
		t.Errorf("%+v %v", infos, err)
	}
	check(t, s.Untag("one:1"))
	var missing *NotFoundError
	if _, err := s.Image("one:1"); !errors.As(err, &missing) {
		t.Errorf("after Untag: %v", err)
	}
	if err := s.Untag("one:1"); !errors.As(err, &missing) {
		t.Errorf("Untag again: %v", err)
	}
}

// A layer that was never fetched is fetched when it is read.
func TestLazyImage(t *testing.T) {
	s := newStore(t)
	layer := someLayers(t)[0].(*testLayer)
	layer.source = "registry.test/base"
	img, err := mutate.AppendLayers(empty.Image, layer)
	check(t, err)
	check(t, s.Tag("lazy", img))
	if *layer.reads > 0 {
		t.Error("the layer was fetched to be named")
	}
	got, err := s.Image("lazy")
	check(t, err)
	layers, _ := got.Layers()
	if _, err := layers[0].Compressed(); err == nil {
		t.Error("a layer that is not here was read")
	}
	s.Fetch = func(_ context.Context, source string, d v1.Descriptor) (v1.Layer, error) {
		if source != layer.source || d.Digest != layer.digest {
			return nil, fmt.Errorf("unexpected %s %s", source, d.Digest)
		}
		return layer, nil
	}
	check(t, validate.Image(got))
	k, err := s.Unpack(t.Context(), layers, nil)
	check(t, err)
	wantFiles(t, s, k, "/ /etc /etc/passwd /opt /opt/a")
}

func TestPrune(t *testing.T) {
	s := newStore(t)
	img, own := testImage(t, s)
	check(t, s.Tag("kept", img))
	change(t, s, own, keyOf("cached"), func(root string) { write(t, root+"/x", strings.Repeat("x", 10000)) })
	_, _, err := oneLayer(t, s, keyOf("cached"), codec.Compression{})
	check(t, err)
	check(t, s.Close())
	other, err := Open(s.Dir())
	check(t, err)
	defer other.Close()
	if !other.Has(keyOf("cached")) {
		t.Fatal("the snapshot is gone")
	}
	prune := func(o time.Duration, snapshots, blobs int) {
		t.Helper()
		r, err := s.Prune(t.Context(), o)
		check(t, err)
		if r.Snapshots != snapshots || r.Blobs != blobs || (snapshots+blobs > 0) != (r.Freed > 0) {
			t.Errorf("%+v: %+v, want %d snapshots and %d blobs", o, r, snapshots, blobs)
		}
	}
	prune(0, 0, 1) // other uses the snapshot, not the blob
	check(t, other.Close())
	prune(1<<40, 0, 0)
	prune(0, 1, 0)
	prune(0, 0, 0)
	got, err := s.Image("kept")
	check(t, err)
	check(t, validate.Image(got))
	check(t, s.Close())
	check(t, s.Untag("kept"))
	r, err := s.Prune(t.Context(), 0)
	check(t, err)
	if r.Kept != 0 || r.Snapshots != 4 || r.Blobs != 6 {
		t.Errorf("%+v", r)
	}
	if left, _ := filepath.Glob(s.Dir() + "/{trash,snapshots,locks,blobs/sha256}/*"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestExtract(t *testing.T) {
	s := newStore(t)
	change(t, s, Key{}, keyOf("1"), func(root string) {
		script(t, root, `mkdir -p opt/dir/sub var run; echo -n a >opt/a; echo -n b >opt/dir/b; ln -s /run var/run; ln -s dir opt/link; chmod 0711 opt/dir/sub`)
	})
	tests := []struct {
		dest    string
		entries []string
		want    string // of the upper directory, or
		err     string
	}{
		{"/opt", []string{"d dir", "f dir/new 1", "f dir/b 2"}, "opt/ opt/dir/ opt/dir/b=2 opt/dir/new=1", ""},
		{"/var/run/svc", []string{"f x 1"}, "run/ run/svc/ run/svc/x=1", ""},
		{"/var/run", []string{"d d", "f d/x 1"}, "run/ run/d/ run/d/x=1", ""},
		{"/", []string{"f var/run/x 1"}, "run/ run/x=1", ""},
		{"/new/deep", []string{"f x 1"}, "new/ new/deep/ new/deep/x=1", ""},
		{"/opt", []string{"f a 2", "h c a", "h e dir/b"}, "opt/ opt/a=2 opt/c=2 opt/e=b", ""},
		{"/opt", []string{"f dir 2"}, "opt/ opt/dir=2", ""},
		{"/opt", []string{"d link", "f link/x 1"}, "opt/ opt/link/ opt/link/x=1", ""},
		{"/opt", []string{"f link/x 1"}, "opt/ opt/dir/ opt/dir/x=1", ""},
		{"/opt", []string{"l esc /../../..", "f esc/x 1"}, "opt/ opt/esc->/../../.. opt/x=1", ""},
		{"/opt", []string{"l abs /dir", "f abs/x 1"}, "opt/ opt/abs->/dir opt/dir/ opt/dir/x=1", ""},
		{"/var", []string{"f run/x 1"}, "", "too many levels"}, // /var/run is /run, and that is /var/run for who sees /var alone
		{"/opt", []string{"l up ../../../etc/shadow", "l bad nowhere"}, "opt/ opt/bad->nowhere opt/up->../../../etc/shadow", ""},
		{"/opt", []string{"f ../x 1"}, "", "leads out"},
		{"/opt", []string{"h x ../a"}, "", "leads out"},
		{"/opt/a", []string{"f x 1"}, "", "not a directory"},
		{"/opt", []string{"f a/x 1"}, "", "not a directory"},
	}
	alone := []struct {
		dest    string
		entries []string
		want    string
	}{
		{"/var/run", []string{"f x 1"}, "var/ var/run/ var/run/x=1"},
		{"/opt", []string{"f a/x 1", "f dir 2"}, "opt/ opt/a/ opt/a/x=1 opt/dir=2"},
	}
	for _, test := range alone {
		d, err := s.Draft(t.Context(), keyOf("1"))
		check(t, err)
		check(t, rootfs.Extract(t.Context(), bytes.NewReader(tarOf(t, test.entries...)), d.Upper(), test.dest, rootfs.ExtractOptions{Alone: true}))
		if got := plain(t, d.Dir()); got != test.want {
			t.Errorf("alone: got %q, want %q", got, test.want)
		}
		check(t, d.Discard())
	}
	for i, test := range tests {
		d, err := s.Draft(t.Context(), keyOf("1"))
		check(t, err)
		err = rootfs.Extract(t.Context(), bytes.NewReader(tarOf(t, test.entries...)), d.Upper(), test.dest, rootfs.ExtractOptions{})
		switch got := plain(t, d.Dir()); {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%d: error %v, want %q", i, err, test.err)
			}
		case err != nil:
			t.Errorf("%d: %v", i, err)
		case got != test.want:
			t.Errorf("%d: got %q, want %q", i, got, test.want)
		}
		check(t, d.Discard())
	}
	d, err := s.Draft(t.Context(), keyOf("1"))
	check(t, err)
	defer d.Discard()
	uid := 0
	check(t, rootfs.Extract(t.Context(), bytes.NewReader(tarOf(t, "d dir/sub/n", "d dir")), d.Upper(), "/opt", rootfs.ExtractOptions{UID: &uid, GID: &uid}))
	cut := io.MultiReader(bytes.NewReader(tarOf(t, "d dir")), iotest.ErrReader(io.ErrUnexpectedEOF)) // the archive has its end, but what compresses it has not
	if err := rootfs.Extract(t.Context(), cut, d.Upper(), "/opt", rootfs.ExtractOptions{UID: &uid, GID: &uid}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an archive that was cut: %v", err)
	}
	if e, err := d.View().Lstat("/opt/dir/sub"); err != nil || e.Mode&0o7777 != 0o711 {
		t.Errorf("a directory on the way: %+v %v", e, err)
	}
	if e, err := d.View().Lstat("/opt/dir"); err != nil || e.ModTime.Unix() != 1000 {
		t.Errorf("a named directory: %+v %v", e, err)
	}
}

// A base whose files were not on the disk when the machine went down is unpacked again, from the blobs.
func TestUnpackAfterCrash(t *testing.T) {
	s := newStore(t)
	base := someLayers(t)
	k, err := s.Unpack(t.Context(), base, nil)
	check(t, err)
	check(t, s.Close())
	if left, _ := os.ReadDir(s.disk.own("unsynced")); len(left) > 0 {
		t.Fatalf("%d snapshots are not on the disk", len(left))
	}
	write(t, s.disk.own("unsynced", k.String()), "another boot")
	s, err = Open(s.Dir())
	check(t, err)
	defer s.Close()
	if s.Has(k) {
		t.Error("a snapshot of another boot is trusted")
	}
	for _, l := range base {
		*l.(*testLayer).reads = 0
	}
	_, err = s.Unpack(t.Context(), base, nil)
	check(t, err)
	if !s.Has(k) {
		t.Error("it is not unpacked again")
	}
	for _, l := range base {
		if *l.(*testLayer).reads > 0 {
			t.Error("a layer is fetched that is here")
		}
	}
}
