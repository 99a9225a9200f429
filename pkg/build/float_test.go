package build

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers"
)

// withBase gives all builds the image that text makes as their base, and counts what is read of its layers.
func (b *bench) withBase(text string) *repository {
	b.Helper()
	img, base := b.machine().build(text).Image, &repository{}
	b.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) { return repositoryImage{img, base}, nil }
	return base
}

// beside is a machine with the same context and base, on which the base is unpacked.
func (b *bench) beside() *bench {
	b.Helper()
	full := b.machine()
	full.Fetch = b.Fetch
	full.build("FROM base\nRUN write /unpack it\n")
	return full
}

func atEpoch(r *Request) {
	epoch := int64(1_700_000_000)
	r.Plan.SetEpoch(&epoch)
}

const floatBase = "FROM scratch\nRUN write etc/passwd root:x:0:0::/:/bin/sh\nRUN write app/old/f 1\n"

// floating are builds that need no file of their base.
var floating = map[string]string{
	"one directory":    "COPY --link src /app/src\n",
	"one file":         "COPY --link one.txt /app/one.txt\n",
	"several files":    "COPY --link one.txt two.txt /app/\n",
	"a chain":          "COPY --link src /app/src\nENV a=b\nCOPY --link one.txt /deep/er/\nUSER 5\nCOPY --link --chown=7:8 src /app/old\n",
	"over the base's":  "COPY --link src /app/old\n",
	"an inline file":   "COPY --link <<x /etc/passwd\ntext\nx\n",
	"ADD":              "ADD --link one.txt /app/\n",
	"a stage":          "FROM scratch AS made\nRUN write out/bin/tool program\nFROM base\nCOPY --link --from=made /out /opt\n",
	"a stage above":    "FROM base AS run\nCOPY --link src /app/src\nENV a=b\nFROM run\nCOPY --link one.txt /app/\nLABEL a=b\n",
	"distributions":    "COPY --link site /usr/lib/site\n",
	"two stages' link": "FROM scratch AS made\nRUN write x 1\nFROM base\nCOPY --link --from=made /x /x\nCOPY --link one.txt /y\n",
}

func floatContext(b *bench) {
	b.file("src/f", "1")
	b.file("src/deep/g", "2")
	b.file("one.txt", "one")
	b.file("two.txt", "two")
}

func TestLinkedCopyLeavesTheBaseAway(t *testing.T) {
	for name, text := range floating {
		t.Run(name, func(t *testing.T) {
			if !strings.HasPrefix(text, "FROM") {
				text = "FROM base\n" + text
			}
			b := newBench(t)
			floatContext(b)
			if name == "distributions" {
				b.file("site/x-1.dist-info/RECORD", "x/f,,\n")
				b.file("site/x/f", strings.Repeat("large ", 3<<20))
			}
			base := b.withBase(floatBase)
			made := b.mustTry(text, atEpoch)
			again := b.mustTry(text, atEpoch)
			if base.read != 0 || again.Steps != 0 {
				t.Errorf("%d layers of the base were read; the second build ran %d steps", base.read, again.Steps)
			}
			full := b.beside()
			want := full.mustTry(text, atEpoch)
			if a, c := digestOf(t, made), digestOf(t, want); a != c || a != digestOf(t, again) {
				t.Errorf("the image is %v without the base, %v with it", a, c)
			}
			files := b.mustTry(text, atEpoch, func(r *Request) { r.Files = true })
			if base.read == 0 {
				t.Error("the files came from nowhere")
			}
			if all, err := made.Image.Layers(); name == "distributions" && len(all) != 4 {
				t.Errorf("%d layers, %v: that of the distribution is no layer of its own", len(all), err)
			}
			assertSameFiles(t, b.Store, files.Key, full.Store, full.mustTry(text, atEpoch, func(r *Request) { r.Files = true }).Key)
		})
	}
}

// TestLinkedCopyBelowARun brings the base when a later build reads files of it.
func TestLinkedCopyBelowARun(t *testing.T) {
	b := newBench(t)
	floatContext(b)
	base := b.withBase(floatBase)
	const text = "FROM base\nCOPY --link src /app/src\n"
	b.build(text)
	if base.read != 2 { // validate.Image reads all of the result
		t.Errorf("%d layers were read", base.read)
	}
	r := b.build(text + "RUN write after x\n")
	b.wantRan("write after x")
	b.wantFile(r.Key, "/app/src/f", "1")
	b.wantFile(r.Key, "/app/old/f", "1")
}

func TestLinkedCopyOnASharedCache(t *testing.T) {
	var repo repository
	first := newBench(t)
	floatContext(first)
	base := first.withBase(floatBase)
	const text = "FROM base\nRUN write made x\nCOPY --link src /app/src\n"
	first.build(text, atEpoch, share(nil, repo.cache("")))

	second := first.machine()
	second.Fetch = first.Fetch
	base.read = 0
	second.file("src/f", "changed")
	made := second.mustTry(text, atEpoch, share(repo.cache(""), nil))
	second.wantRan()
	if base.read+repo.read != 0 {
		t.Errorf("%d layers of the base and %d of the cache were read", base.read, repo.read)
	}
	want := first.mustTry(text, atEpoch)
	if a, c := digestOf(t, made), digestOf(t, want); a != c {
		t.Errorf("the image is %v on one machine, %v on the other", a, c)
	}
}

// light are ends of images that an index of what is below them suffices for.
var light = map[string]string{
	"a directory":       "COPY src /app/src\n",
	"over the base's":   "COPY src /app/old\n",
	"a file":            "COPY one.txt /app/old/f\n",
	"several files":     "COPY one.txt two.txt made/\n",
	"a new WORKDIR":     "WORKDIR /srv/app\nCOPY src .\n",
	"an owner's name":   "USER ann\nWORKDIR /srv/app\nCOPY --chown=ann:staff src src\n",
	"several steps":     "WORKDIR /app\nCOPY src src\nCOPY one.txt ./\nENV a=b\nCOPY two.txt src/deep/\n",
	"with COPY --link":  "COPY one.txt /app/\nCOPY --link src /app/old\nCOPY two.txt /app/old/\nWORKDIR /app/old/x\n",
	"linked files":      "COPY --link one.txt two.txt /app/old/\nCOPY src /app/old\n",
	"a stage":           "FROM scratch AS tool\nRUN write bin/tool program\nFROM light\nCOPY --from=tool /bin /opt/bin\n",
	"a stage above":     "COPY src /app\nFROM light AS more\nWORKDIR /app/more\nCOPY one.txt .\n",
	"what was copied":   "WORKDIR /w\nCOPY one.txt two.txt ./\nCOPY . .\n",
	"removed by a RUN":  "COPY one.txt /app/gone\n",
	"removed directory": "COPY src /lost/src\n",
}

const lightBase = floatBase + "RUN write etc/group staff:x:50:\nRUN write etc/passwd ann:x:1234:1235::/:/bin/sh\nRUN write app/gone x\nRUN write lost/x 1\n"

func TestLightStepsOnAnIndex(t *testing.T) {
	for name, end := range light {
		t.Run(name, func(t *testing.T) {
			text := "FROM base AS light\nRUN remove app/gone\nRUN clear lost\n" + end
			var repo repository
			first := newBench(t)
			floatContext(first)
			base := first.withBase(lightBase)
			first.mustTry(text, atEpoch, share(nil, repo.cache("")))

			base.read = 0
			for _, changed := range []string{"src/f", "two.txt", "one.txt"} {
				first.file(changed, "changed in "+name)
				second := first.machine()
				second.Fetch = first.Fetch
				made := second.mustTry(text, atEpoch, share(repo.cache(""), repo.cache("")))
				second.wantRan()
				if base.read+repo.read != 0 || made.Steps > 0 && repo.indexes == 0 && !strings.Contains(end, "tool") {
					t.Errorf("%d layers of the base, %d of the cache and %d indexes were read", base.read, repo.read, repo.indexes)
				}
				want := first.mustTry(text, atEpoch)
				if a, c := digestOf(t, made), digestOf(t, want); a != c {
					t.Errorf("the image is %v on one machine, %v on the other", a, c)
				}
				files := second.mustTry(text, atEpoch, share(repo.cache(""), nil), func(r *Request) { r.Files = true })
				if err := first.Store.Expand(t.Context(), want.Key); err != nil {
					t.Fatal(err)
				}
				assertSameFiles(t, second.Store, files.Key, first.Store, want.Key)
				base.read, repo.read = 0, 0
			}
		})
	}
}

// TestLightStepsWithoutAnIndex fetch what they need: where the content of a file decides, and where an index is broken.
func TestLightStepsWithoutAnIndex(t *testing.T) {
	const text = "FROM base\nCOPY src /app/old\n"
	var repo repository
	first := newBench(t)
	floatContext(first)
	first.file("same", "1")
	base := first.withBase(floatBase)
	first.mustTry(text, atEpoch, share(nil, repo.cache("")))
	for name, change := range map[string]func(*repository){
		"no entry": func(r *repository) { clear(r.images) },
		"spoiled":  func(r *repository) { r.spoiled = true },
	} {
		first.file("src/f", name)
		change(&repo)
		base.read = 0
		second := first.machine()
		second.Fetch = first.Fetch
		made := second.mustTry(text, atEpoch, share(repo.cache(""), nil))
		if base.read == 0 {
			t.Errorf("%s: it was made of nothing", name)
		}
		if a, c := digestOf(t, made), digestOf(t, first.mustTry(text, atEpoch)); a != c {
			t.Errorf("%s: the image is %v on one machine, %v on the other", name, a, c)
		}
	}
}

// TestLinkedCopyNeedsNoNamespace packs one directory as an ordinary user.
func TestLinkedCopyNeedsNoNamespace(t *testing.T) {
	b := newBench(t)
	floatContext(b)
	b.withBase(floatBase)
	b.Entered = false
	if _, err := b.try("FROM base\nCOPY --link src /app/src\n"); err != nil {
		t.Error(err)
	}
	if _, err := b.try("FROM base\nCOPY --link src /app/src\nRUN write x y\n"); !errors.Is(err, ErrNeedsNamespace) {
		t.Errorf("a RUN: %v", err)
	}
}

// TestFilesOfABaseOnly asks for the files of a build that has no step.
func TestFilesOfABaseOnly(t *testing.T) {
	b := newBench(t)
	b.withBase(floatBase)
	r := b.mustTry("FROM base\nENV a=b\n", func(r *Request) { r.NoLayers, r.Files = true, true })
	b.wantFile(r.Key, "/app/old/f", "1")
}

// TestForgottenState builds again after the state of a build with --no-cache is gone.
func TestForgottenState(t *testing.T) {
	b := newBench(t)
	b.build(twoSteps)
	b.build(twoSteps, func(r *Request) { r.NoCache = true })
	dir := b.Store.Dir()
	if err := errors.Join(b.Store.Close(), os.RemoveAll(dir+"/snapshots"), os.RemoveAll(dir+"/blobs/sha256"),
		os.Mkdir(dir+"/snapshots", 0o700), os.Mkdir(dir+"/blobs/sha256", 0o700)); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.Store, err = layers.Open(dir); err != nil {
		t.Fatal(err)
	}
	defer b.Store.Close()
	b.build(twoSteps)
	b.build(twoSteps)
	b.wantRan()
}
