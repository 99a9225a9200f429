package layers

import (
	"archive/zip"
	"bytes"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// installLikePip is the shell function that installs as pip does: the list last, with what it added. Only then is it whole.
const installLikePip = `umask 022; install() { mkdir -p lib/python3/site-packages/$1-1.dist-info && cd lib/python3/site-packages && mkdir -p $1
	head -c 17m /dev/urandom >$1/lib.so && ln -s lib.so $1/so && echo pip >$1-1.dist-info/INSTALLER
	printf "$1/lib.so,,\n$1/so,,\n$1-1.dist-info/RECORD,,\n" >$1-1.dist-info/RECORD
	sleep 0.7; echo "$1-1.dist-info/INSTALLER,," >>$1-1.dist-info/RECORD; cd ../../..; }
`

// installing runs a script in a draft, waits until so many blocks were compressed ahead, and then runs another, before the
// draft settles.
func installing(t *testing.T, s *Store, o LayerOptions, first string, blocks int, meanwhile string) *Draft {
	t.Helper()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("needs two processors")
	}
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	t.Cleanup(func() { d.Discard() })
	root, err := d.Mount(t.Context())
	if err != nil {
		t.Skipf("cannot mount overlays here: %v", err)
	}
	if way, _ := s.way(); way != snapshotter.Overlay {
		t.Skip("what a command writes is in the draft only at its end here")
	}
	d.PackAhead(t.Context(), []string{"/usr", "/"}, o)
	script(t, root, first)
	for began := time.Now(); d.ahead.Blocks.Len() < blocks; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 5*time.Minute { // at the lowest priority, beside other tests
			t.Fatalf("%d blocks were compressed ahead", d.ahead.Blocks.Len())
		}
	}
	script(t, root, meanwhile)
	check(t, d.Unmount())
	check(t, d.Settle())
	return d
}

// The layers are those of a store that compresses nothing ahead, whatever happens after it was compressed, and only what was
// changed is compressed again.
func TestPackAhead(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile string
		left      int // blocks that are of no use
	}{
		"unchanged":            {"touch other; touch lib/python3/site-packages/a/lib.so", 0},
		"changed in its place": {"cd lib/python3/site-packages/a; cp -p lib.so ../old; printf x | dd of=lib.so conv=notrunc status=none; touch -r ../old lib.so; rm ../old", 1},
		"cut":                  {"truncate -s 16m lib/python3/site-packages/a/lib.so", 1},
		"another mode":         {"chmod 755 lib/python3/site-packages/a/lib.so", 0},
		"another place":        {"mv lib/python3/site-packages/a/lib.so lib/python3", 0},
		"removed":              {"rm -r lib/python3/site-packages/a*", 17},
		"contested":            {"cd lib/python3/site-packages; mkdir b-1.dist-info; echo a/lib.so,, >b-1.dist-info/RECORD", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, o := newStore(t), LayerOptions{Max: 12}
			d := installing(t, s, o, installLikePip+"install a", 17, c.meanwhile)
			if left := slices.Concat(namesIn(t, s.disk.path("ingest")), namesIn(t, s.disk.path("blobs", "sha256"))); len(left) > 0 {
				t.Errorf("compressing ahead made %v", left)
			}
			want := layersElsewhere(t, d, o)
			if left := layersAfter(t, s, d, o, want); left != c.left {
				t.Errorf("%d blocks were not used, want %d", left, c.left)
			}
		})
	}
}

// layersElsewhere returns the digests of the layers that a store makes of the files of a draft that saw only the end of them.
func layersElsewhere(t *testing.T, d *Draft, o LayerOptions) []string {
	s := newStore(t)
	other, err := s.Draft(t.Context(), Key{})
	check(t, err)
	script(t, "/", "cp -a "+d.Dir()+"/. "+other.Dir())
	check(t, other.Commit(t.Context(), keyOf("a")))
	all, _, err := s.Layers(t.Context(), keyOf("a"), o)
	check(t, err)
	return digests(t, all)
}

// layersAfter makes the layers of a draft, which are to have these digests, and returns how many blocks were of no use.
func layersAfter(t *testing.T, s *Store, d *Draft, o LayerOptions, want []string) int {
	t.Helper()
	blocks := d.ahead.Blocks
	check(t, d.Commit(t.Context(), keyOf("a")))
	all, _, err := s.Layers(t.Context(), keyOf("a"), o)
	check(t, err)
	if got := digests(t, all); !slices.Equal(got, want) {
		t.Errorf("layers %v, want %v", got, want)
	}
	if len(s.aheads.all) > 0 || open(blocks) {
		t.Error("the blocks are kept")
	}
	return blocks.Len()
}

// What is of use is what a layer has, however it is compressed.
func TestPackAheadOtherCompression(t *testing.T) {
	for _, c := range []struct {
		ahead, layers codec.Compression
		blocks, left  int
	}{
		{codec.Compression{Algorithm: "zstd"}, codec.Compression{Algorithm: "zstd"}, 9, 0},
		{codec.Compression{Level: 1}, codec.Compression{Level: 1}, 17, 0},
		{codec.Compression{Level: 1}, codec.Compression{Level: 2}, 17, 17},
		{codec.Compression{}, codec.Compression{Level: 5}, 17, 0},
	} {
		s := newStore(t)
		d := installing(t, s, LayerOptions{Compression: c.ahead}, installLikePip+"install a", c.blocks, "")
		o := LayerOptions{Compression: c.layers}
		if left := layersAfter(t, s, d, o, layersElsewhere(t, d, o)); left != c.left {
			t.Errorf("%+v: %d blocks were not used, want %d", c, left, c.left)
		}
	}
}

// What is given up leaves nothing.
func TestPackAheadDiscarded(t *testing.T) {
	for _, blocks := range []int{0, 1, 17} {
		s := newStore(t)
		d := installing(t, s, LayerOptions{}, installLikePip+"install a", blocks, "")
		kept := d.ahead.Blocks
		check(t, d.Discard())
		if open(kept) {
			t.Error("the blocks are kept")
		}
		if left := slices.Concat(namesIn(t, s.disk.path("ingest")), namesIn(t, s.disk.own("drafts"))); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	s := newStore(t)
	d := installing(t, s, LayerOptions{}, installLikePip+"install a", 1, "")
	kept := d.ahead.Blocks
	check(t, d.Commit(t.Context(), keyOf("a")))
	check(t, s.Close())
	if open(kept) {
		t.Error("the blocks of layers that were not made are kept")
	}
}

// What is half compressed when the step ends is taken as far as it is.
func TestPackAheadHalf(t *testing.T) {
	s, o := newStore(t), LayerOptions{Max: 12}
	d := installing(t, s, o, installLikePip+"install a", 1, "")
	if left := layersAfter(t, s, d, o, layersElsewhere(t, d, o)); left != 0 {
		t.Errorf("%d blocks were not used", left)
	}
}

// Wheels are compressed from when they are whole.
func TestPackAheadWheels(t *testing.T) {
	content := testimage.Bytes(5<<20 + 1)
	var stored, deflated bytes.Buffer
	for method, buf := range map[uint16]*bytes.Buffer{zip.Store: &stored, zip.Deflate: &deflated} {
		z := zip.NewWriter(buf)
		for name, data := range map[string][]byte{"a/lib.so": content, "a/small": content[:codec.WholeFrom-1]} {
			w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
			check(t, err)
			w.Write(data)
		}
		check(t, z.Close())
	}
	corrupt := bytes.Clone(deflated.Bytes())
	for i := range 100 {
		corrupt[len(corrupt)/3+i] ^= 0xff
	}
	for name, c := range map[string]struct {
		data   []byte
		blocks int
	}{
		"stored": {stored.Bytes(), 6}, "deflated": {deflated.Bytes(), 6}, "corrupt": {corrupt, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/half", string(c.data[:len(c.data)/2]))
			write(t, dir+"/lib.so", string(content))
			check(t, os.WriteFile(dir+"/a.whl", c.data, 0o644))
			s, o := newStore(t), LayerOptions{}
			fetch := "umask 022; mkdir -p tmp/pip-unpack-1 && cp " + dir + "/half tmp/pip-unpack-1/a-1-py3-none-any.whl && sleep 0.7 && cat " + dir + "/a.whl >tmp/pip-unpack-1/a-1-py3-none-any.whl"
			d := installing(t, s, o, fetch, c.blocks, "rm -r tmp; mkdir lib; cp "+dir+"/lib.so lib")
			left := layersAfter(t, s, d, o, layersElsewhere(t, d, o))
			if name != "corrupt" && left != 0 {
				t.Errorf("%d blocks were not used", left)
			}
		})
	}
}

// open says whether there is still a place for blocks.
func open(b *codec.Blocks) bool { return b.Add(strings.NewReader("x"), nil) == nil }

func namesIn(t *testing.T, dir string) (names []string) {
	all, err := os.ReadDir(dir)
	check(t, err)
	for _, d := range all {
		names = append(names, d.Name())
	}
	return names
}
