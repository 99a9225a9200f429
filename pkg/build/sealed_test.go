package build

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// sealedBase has what is hard to see without unpacking: links on the way, directories that no entry names, names that are removed
// and replaced, and files with several names, with owners that only the image has.
func sealedBase(t *testing.T) v1.Image {
	t.Helper()
	lower := []testimage.File{
		{Name: "./", Mode: 0o755}, {Name: "etc/"}, {Name: "etc/passwd", Body: "root:x:0:0::/:/bin/sh\napp:x:100:101::/home/app:/bin/sh\n"},
		{Name: "etc/group", Body: "staff:x:50:\n"}, {Name: "etc/shadow", Body: "x", Mode: 0o640, GID: 42},
		{Name: "usr/lib/", Mode: 0o751, UID: 3}, {Name: "lib", Type: tar.TypeSymlink, Link: "usr/lib"},
		{Name: "lib/through", Body: "through a link"}, {Name: "usr/lib/so.1", Body: "library"}, {Name: "usr/lib/so", Type: tar.TypeSymlink, Link: "so.1"},
		{Name: "usr/bin/one", Body: "program", Mode: 0o4755, UID: 7, GID: 8, Xattrs: map[string]string{"user.note": "kept"}},
		{Name: "usr/bin/two", Type: tar.TypeLink, Link: "usr/bin/one"}, {Name: "usr/bin/ahead", Type: tar.TypeLink, Link: "usr/bin/later"},
		{Name: "usr/bin/later", Body: "linked before it comes"}, {Name: "srv/gone/f", Body: "1"}, {Name: "srv/opaque/f", Body: "1"},
		{Name: "srv/opaque/g", Body: "2", UID: 9}, {Name: "srv/file", Body: "file"}, {Name: "srv/dir/", UID: 5, GID: 6, Mode: 0o2775},
		{Name: "srv/dir/f", Body: "in a directory", UID: 5, GID: 6}, {Name: "tmp/", Mode: 0o1777}, {Name: "run/"},
		{Name: "var/run", Type: tar.TypeSymlink, Link: "/run"}, {Name: "opt/fifo", Type: tar.TypeFifo, Mode: 0o600},
	}
	upper := []testimage.File{
		{Name: "srv/.wh.gone"}, {Name: "srv/opaque/.wh..wh..opq"}, {Name: "srv/opaque/h", Body: "3"}, {Name: "srv/dir/new", Body: "in a directory without an entry"},
		{Name: "usr/bin/one", Body: "changed", Mode: 0o755}, {Name: "srv/file/", Mode: 0o700}, {Name: "srv/file/inside", Body: "x"},
		{Name: "var/run/pid", Body: "1"},
	}
	img := empty.Image
	for _, layer := range [][]testimage.File{lower, upper} {
		var err error
		if img, err = testimage.Append(img, layer...); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// sealedBuilds are builds without a RUN.
var sealedBuilds = map[string]string{
	"nothing":              "FROM base\nENV a=b\n",
	"scratch":              "FROM scratch\nCOPY . /\n",
	"one directory":        "FROM base\nCOPY src /app/\n",
	"one file":             "FROM base\nCOPY one.txt /etc/passwd\n",
	"owners by name":       "FROM base\nCOPY --chown=app:staff src one.txt /app/\nCOPY --chown=app --chmod=u+x two.txt /app/x\n",
	"accounts of a step":   "FROM base\nCOPY <<x /etc/passwd\nnew:x:7:8::/:/bin/sh\nx\nCOPY --chown=new src /new/\n",
	"several sources":      "FROM base\nCOPY src one.txt two.txt src/deep /app/\n",
	"inline":               "FROM base\nCOPY one.txt <<a <<b /x/\n1\na\n2\nb\n",
	"parents":              "FROM base\nCOPY --parents src/deep/g src/./f /app/\n",
	"wildcards":            "FROM base\nCOPY *.txt s*/f /app/\n",
	"exclude":              "FROM base\nCOPY --exclude=deep src /app/\n",
	"through links":        "FROM base\nCOPY one.txt /lib/\nCOPY src /var/run/x\nCOPY two.txt /usr/lib/so\n",
	"workdir":              "FROM base\nUSER app\nWORKDIR /srv/dir/a/b\nCOPY one.txt .\nUSER 5:6\nWORKDIR ../c\nCOPY src .\n",
	"steps over steps":     "FROM base\nCOPY src /app\nCOPY one.txt /app/f\nCOPY --link two.txt /app/g\nCOPY src/deep /app\nWORKDIR /app/deep\nCOPY src .\n",
	"what is the same":     "FROM base\nCOPY src /app\nCOPY src /app\nCOPY one.txt src /app/\n",
	"an archive":           "FROM base\nADD a.tar /srv/\nADD --chown=1:2 a.tar /lib/\nADD one.txt /\n",
	"from a stage":         "FROM base AS a\nCOPY src /app\nFROM base\nCOPY --from=a /app/f /usr/bin/one /app/deep/ /x/\n",
	"from below a stage":   "FROM base AS a\nWORKDIR /w\nFROM a AS b\nCOPY src .\nFROM b\nCOPY --from=b /w /v\nCOPY --from=a /etc /e\n",
	"all of a stage":       "FROM base AS a\nFROM scratch\nCOPY --from=a / /\n",
	"from an image":        "FROM scratch\nCOPY --from=base /usr /usr\nCOPY --from=base /srv/ /etc/shadow /srv/\n",
	"links of an image":    "FROM scratch\nCOPY --from=base /usr/bin/two /lib/through /usr/lib/so /bin/\nCOPY --from=base /usr/bin /usr/bin\nCOPY --from=base /lib /lib\n",
	"wildcards of a stage": "FROM base AS a\nFROM base\nCOPY --from=a --chown=9 /usr/*/o* /srv/*/ /x/\n",
	"parents of a stage":   "FROM base AS a\nFROM scratch\nCOPY --from=a --parents /usr/./bin/one /srv/dir /x/\n",
	"over itself":          "FROM base AS a\nFROM a\nCOPY --from=a /usr/bin /usr/bin\nCOPY --from=a /srv/dir /srv/dir\n",
	"linked from a stage":  "FROM base AS a\nFROM base\nCOPY --link --from=a /usr/bin/ /x/\n",
	"from a context":       "FROM other\nCOPY one.txt /x\nCOPY --from=other /src /y\n",
}

func sealedContext(b *bench) {
	floatContext(b)
	data, err := testimage.Tar(testimage.File{Name: "dir/f", Body: "archived", UID: 4}, testimage.File{Name: "dir/", UID: 5, Mode: 0o700},
		testimage.File{Name: "h", Type: tar.TypeLink, Link: "dir/f"}, testimage.File{Name: "l", Type: tar.TypeSymlink, Link: "dir"}, testimage.File{Name: "l/x", Body: "y"})
	if err != nil {
		b.Fatal(err)
	}
	b.file("a.tar", string(data))
}

// sealed is a machine with the same context, whose builds have no namespace.
func (b *bench) sealed() *bench {
	other := b.machine()
	other.Entered, other.options = false, b.options
	return other
}

func otherContext(b *bench) func(*Request) {
	return func(r *Request) {
		r.Named = func(ctx context.Context, name string) (*files.Context, error) {
			return files.OpenContext(ctx, b.context, files.ContextOptions{StateDir: b.Store.Dir()})
		}
	}
}

// TestSealedBuildsAreTheSame holds images that are built without making a file to those that are built of files.
func TestSealedBuildsAreTheSame(t *testing.T) {
	img := sealedBase(t)
	for name, text := range sealedBuilds {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.options.Contexts = map[string]string{"other": ""}
			sealedContext(b)
			base := &repository{}
			b.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) { return repositoryImage{img, base}, nil }
			drafted := b.mustTry(text, atEpoch, otherContext(b))
			other := b.sealed()
			other.Fetch = b.Fetch
			base.read = 0
			sealed := other.mustTry(text, atEpoch, otherContext(other))
			if got, want := digestOf(t, sealed), digestOf(t, drafted); got != want {
				t.Errorf("the image is %v, made of files it is %v", got, want)
				compareLayers(t, sealed.Image, drafted.Image)
			}
			most := 2
			if name == "links of an image" { // where a path leads through one, what is wanted is known when the layers were read
				most = 3
			}
			if base.read > most {
				t.Errorf("%d layers of the base were read, of two", base.read)
			}
			other.noFiles()
			base.read = 0
			if again := other.mustTry(text, atEpoch, otherContext(other)); again.Steps != 0 || base.read != 0 || digestOf(t, again) != digestOf(t, sealed) {
				t.Errorf("the second build ran %d steps, and read %d layers", again.Steps, base.read)
			}
		})
	}
}

// noFiles fails if any file of an image was made in the store.
func (b *bench) noFiles() {
	b.Helper()
	left, err := os.ReadDir(b.Store.Dir() + "/snapshots")
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range left {
		if _, err := os.Lstat(b.Store.Dir() + "/snapshots/" + k.Name() + "/fs"); err == nil {
			b.Errorf("snapshot %s has files", k.Name())
		}
	}
}

func compareLayers(t *testing.T, a, b v1.Image) {
	t.Helper()
	as, err := a.Layers()
	if err != nil {
		t.Fatal(err)
	}
	bs, err := b.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(len(as), len(bs)) {
		var texts [2]string
		for j, l := range []v1.Layer{as[i], bs[i]} {
			rc, err := l.Uncompressed()
			if err != nil {
				t.Fatal(err)
			}
			for r := tar.NewReader(rc); ; {
				h, err := r.Next()
				if err != nil {
					break
				}
				texts[j] += strings.Join([]string{string(h.Typeflag), h.Name, h.Linkname, h.FileInfo().Mode().String(), h.ModTime.String(), h.FileInfo().Name()}, " ") + "\n"
			}
			rc.Close()
		}
		if texts[0] != texts[1] {
			t.Errorf("layer %d:\n%s\nof files:\n%s", i, texts[0], texts[1])
		}
	}
	if len(as) != len(bs) {
		t.Errorf("%d layers, of files %d", len(as), len(bs))
	}
}

// TestSealedRunIsNamed says which RUN it is that a process without a namespace cannot execute, before anything is read.
func TestSealedRunIsNamed(t *testing.T) {
	b := newBench(t)
	sealedContext(b)
	base := b.withBase(floatBase)
	b.Entered = false
	for text, want := range map[string]string{
		"FROM base\nCOPY src /x\nENV a=b\nRUN write x y\n":             "RUN at Dockerfile:4",
		"FROM base AS a\nCOPY src /x\nFROM a\nUSER 1\nRUN write x y\n": "RUN at Dockerfile:5",
		"FROM base AS a\nRUN write x y\nFROM base\nCOPY --from=a /x /": "RUN at Dockerfile:2",
	} {
		_, err := b.try(text)
		var named *NamespaceError
		if !errors.As(err, &named) || !errors.Is(err, ErrNeedsNamespace) || named.What != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if _, err := b.try(text, func(r *Request) { r.NoCache = true }); !errors.As(err, &named) || named.What != want {
			t.Errorf("%q with --no-cache: %v", text, err)
		}
	}
	if base.read != 0 {
		t.Errorf("%d layers of the base were read", base.read)
	}
}

// TestSealedOverFiles builds without a namespace upon what was built with one, and the other way.
func TestSealedOverFiles(t *testing.T) {
	b := newBench(t)
	sealedContext(b)
	b.withBase(floatBase)
	b.build("FROM base\nRUN write made by-a-run\nCOPY src one.txt /app/\n")
	b.Entered = false
	const text = "FROM base\nRUN write made by-a-run\nCOPY src one.txt /app/\nCOPY two.txt src /srv/\nWORKDIR /srv/w\n"
	sealed := b.build(text)
	b.wantRan()
	b.Entered = true
	after := b.build(text + "RUN write srv/w/x y\n")
	b.wantRan("write srv/w/x y")
	b.wantFile(after.Key, "/srv/two.txt", "two")
	b.wantFile(after.Key, "/made", "by-a-run")
	if _, err := sealed.Image.Digest(); err != nil {
		t.Error(err)
	}
}

// TestSealedDistributions has a COPY that becomes layers of distributions where files are made. Without, it is one layer, with the same files.
func TestSealedDistributions(t *testing.T) {
	b := newBench(t)
	b.file("site/x-1.dist-info/RECORD", "x/f,,\n")
	b.file("site/x/f", strings.Repeat("large ", 3<<20))
	b.file("site/y", "small")
	const text = "FROM scratch\nCOPY site /usr/lib/site\n"
	b.Entered = false
	sealed := b.mustTry(text, atEpoch)
	if all, err := sealed.Image.Layers(); err != nil || len(all) != 1 {
		t.Errorf("%d layers, %v", len(all), err)
	}
	b.Entered = true
	b.wantFile(b.mustTry(text, atEpoch, func(r *Request) { r.Files = true }).Key, "/usr/lib/site/y", "small")
}

// TestSealedSquash makes one layer of all steps.
func TestSealedSquash(t *testing.T) {
	b := newBench(t)
	sealedContext(b)
	img := sealedBase(t)
	b.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) {
		return repositoryImage{img, &repository{}}, nil
	}
	other := b.sealed()
	other.Fetch = b.Fetch
	one := func(r *Request) { r.Layering = OneLayer }
	for _, text := range []string{sealedBuilds["steps over steps"], sealedBuilds["over itself"], sealedBuilds["an archive"], sealedBuilds["nothing"]} {
		drafted, sealed := b.mustTry(text, atEpoch, one), other.mustTry(text, atEpoch, one)
		if digestOf(t, drafted) != digestOf(t, sealed) {
			t.Errorf("%q: another image", text)
			compareLayers(t, sealed.Image, drafted.Image)
		}
	}
}

// TestSealedOverASharedCache takes what is known of the base from a shared cache: a machine without a namespace and with an empty
// store reads no layer of it for a COPY.
func TestSealedOverASharedCache(t *testing.T) {
	b := newBench(t)
	sealedContext(b)
	img, base := sealedBase(t), &repository{}
	b.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) { return repositoryImage{img, base}, nil }
	const text = "FROM base\nCOPY src /srv/dir\nWORKDIR /lib/x\n"
	for _, writer := range []bool{true, false} {
		b.file("src/f", fmt.Sprint("before ", writer))
		var repo repository
		first := b.machine()
		first.Entered, first.Fetch = writer, b.Fetch
		first.mustTry(text, atEpoch, share(nil, repo.cache("")))
		b.file("src/f", fmt.Sprint("after ", writer))
		base.read = 0
		second := b.sealed()
		second.Fetch = b.Fetch
		made := second.mustTry(text, atEpoch, share(repo.cache(""), repo.cache("")))
		if base.read != 0 || made.Steps != 2 {
			t.Errorf("%d layers of the base were read, %d steps executed", base.read, made.Steps)
		}
		drafted := b.machine()
		drafted.Fetch = b.Fetch
		if got, want := digestOf(t, made), digestOf(t, drafted.mustTry(text, atEpoch)); got != want {
			t.Errorf("the image is %v, made of files it is %v", got, want)
		}
		third := b.sealed()
		third.Fetch = b.Fetch
		if again := third.mustTry(text, atEpoch, share(repo.cache(""), nil)); again.Steps != 0 || digestOf(t, again) != digestOf(t, made) {
			t.Errorf("another machine ran %d steps", again.Steps)
		}
		from := third.mustTry("FROM base AS a\nCOPY src /srv/dir\nFROM scratch\nCOPY --from=a /srv /usr/bin/one /x/\n", atEpoch, share(repo.cache(""), nil))
		if got, want := digestOf(t, from), digestOf(t, drafted.mustTry("FROM base AS a\nCOPY src /srv/dir\nFROM scratch\nCOPY --from=a /srv /usr/bin/one /x/\n", atEpoch)); got != want {
			t.Errorf("what is copied out of it: the image is %v, made of files it is %v", got, want)
		}
	}
}

// TestSealedFiles names the layers of a result whose files are wanted.
func TestSealedFiles(t *testing.T) {
	b := newBench(t)
	sealedContext(b)
	b.withBase(floatBase)
	b.Entered = false
	r := b.mustTry("FROM base\nCOPY src /app\nCOPY one.txt /app/old/f\n", func(r *Request) { r.Files, r.NoLayers = true, true })
	if len(r.Sealed) != 4 || r.Key == (layers.Key{}) {
		t.Errorf("%d layers", len(r.Sealed))
	}
}
