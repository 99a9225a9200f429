package build

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// repository is what a registry keeps: images by tag, and how much of them was read.
type repository struct {
	mu      sync.Mutex
	images  map[string]v1.Image
	asked   []string
	read    int // layers
	indexes int // that were read
	down    error
	spoiled bool // layers end too early
}

// cache is a way to the repository, as each process has its own.
func (s *repository) cache(scope string) *sharedcache.Cache {
	return &sharedcache.Cache{Name: "cache.example/app", Scope: scope, Open: s.open, Write: s.write}
}

func (s *repository) open(_ context.Context, tag string) (v1.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, tag)
	if img := s.images[tag]; img != nil && s.down == nil {
		return repositoryImage{img, s}, nil
	}
	return nil, s.down
}

func (s *repository) write(_ context.Context, tag string, img v1.Image) error {
	list, err := img.Layers()
	for _, l := range list {
		rc, err := l.Compressed()
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, rc); err != nil {
			return err
		}
		rc.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if s.images == nil {
		s.images = map[string]v1.Image{}
	}
	s.images[tag] = img
	return err
}

type repositoryImage struct {
	v1.Image
	from *repository
}

func (i repositoryImage) Layers() ([]v1.Layer, error) {
	list, err := i.Image.Layers()
	for n, l := range list {
		list[n] = repositoryLayer{l, i.from}
	}
	return append([]v1.Layer(nil), list...), err
}

type repositoryLayer struct {
	v1.Layer
	from *repository
}

func (l repositoryLayer) Compressed() (io.ReadCloser, error) {
	l.from.mu.Lock()
	if mt, _ := l.MediaType(); mt == indexType {
		l.from.indexes++
	} else {
		l.from.read++
	}
	spoiled := l.from.spoiled
	l.from.mu.Unlock()
	rc, err := l.Layer.Compressed()
	if err != nil || !spoiled {
		return rc, err
	}
	defer rc.Close()
	all, err := io.ReadAll(rc)
	return io.NopCloser(bytes.NewReader(all[:len(all)/2])), err
}

// machine is a Builder with the context of b and nothing stored.
func (b *bench) machine() *bench {
	m := newBench(b.T)
	m.context = b.context
	return m
}

func share(from, to *sharedcache.Cache) func(*Request) {
	return func(r *Request) {
		if from != nil {
			r.CacheFrom = []*sharedcache.Cache{from}
		}
		if to != nil {
			r.CacheTo = []*sharedcache.Cache{to}
		}
	}
}

func digestOf(t *testing.T, r *Result) v1.Hash {
	t.Helper()
	d, err := r.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const threeSteps = "FROM scratch\nRUN write a one\nCOPY f /f\nRUN write b two\n"

func TestSharedCacheServesAnotherMachine(t *testing.T) {
	var repo repository
	first := newBench(t)
	first.file("f", "1")
	made := first.build(threeSteps, share(nil, repo.cache("")))

	second := first.machine()
	second.Entered = false // all is looked up, nothing is unpacked
	r, err := second.try(threeSteps, share(repo.cache(""), nil))
	if err != nil {
		t.Fatal(err)
	}
	second.wantRan()
	if repo.read != 0 {
		t.Errorf("%d layers were read", repo.read)
	}
	if a, b := digestOf(t, made), digestOf(t, r); a != b {
		t.Errorf("the image is %v on one machine, %v on the other", a, b)
	}
}

func TestSharedCacheAsksBeforeAnythingRuns(t *testing.T) {
	var repo repository
	b := newBench(t)
	b.file("f", "1")
	b.build(threeSteps, share(repo.cache(""), nil), func(*Request) {
		run := b.Exec
		b.Exec = func(ctx context.Context, s *runtime.Sandbox) error {
			for range 100 { // they are asked side by side, and the first step may be quicker
				repo.mu.Lock()
				n := len(repo.asked)
				repo.mu.Unlock()
				if n >= 3 {
					return run(ctx, s)
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Error("a step ran before all were asked for")
			return run(ctx, s)
		}
	})
}

func TestSharedCacheRestoresWhatAStepNeeds(t *testing.T) {
	var repo repository
	first := newBench(t)
	first.file("f", "1")
	first.build(threeSteps, share(nil, repo.cache("")))
	changed := strings.Replace(threeSteps, "two", "three", 1)
	alone := first.build(changed)

	second := first.machine()
	r := second.build(changed, share(repo.cache(""), nil))
	second.wantRan("write b three")
	if repo.read != 2 {
		t.Errorf("%d layers were read; two are below the changed step", repo.read)
	}
	assertSameFiles(t, first.Store, alone.Key, second.Store, r.Key)
}

func TestSharedCacheSparesTheStage(t *testing.T) {
	var repo repository
	text := "FROM scratch AS one\nRUN write x 1\nFROM scratch\nCOPY --from=one /x /x\nRUN write y 2\n"
	first := newBench(t)
	first.build(text, share(nil, repo.cache("")))

	second := first.machine()
	second.build(text, share(repo.cache(""), nil))
	second.wantRan()

	third := first.machine() // the COPY is there to be read, the stage is not
	third.Jobs = 1
	third.build(strings.Replace(text, "/x /x", "/x /z", 1), share(repo.cache(""), nil))
	third.wantRan("write x 1", "write y 2")
}

func TestSharedCacheOfAllStages(t *testing.T) {
	var repo repository
	text := "FROM scratch AS one\nRUN write x 1\nFROM scratch\nRUN --mount=type=bind,from=one,target=/m mount x\n"
	all := repo.cache("")
	all.All = true
	first := newBench(t)
	first.build(text, share(nil, all))

	second := first.machine()
	second.build(text+"RUN --mount=type=bind,from=one,target=/m mount x\n", share(repo.cache(""), nil))
	second.wantRan("mount x")
}

func TestSharedCacheKeepsScopesApart(t *testing.T) {
	var repo repository
	first := newBench(t)
	first.build(twoSteps, share(nil, repo.cache("pull-request-7")))
	trusted := first.machine()
	trusted.build(twoSteps, share(repo.cache(""), nil))
	trusted.wantRan("write a one", "write b two")
	same := first.machine()
	same.build(twoSteps, share(repo.cache("pull-request-7"), nil))
	same.wantRan()
}

func TestSharedCacheThatFailsIsDoneWithout(t *testing.T) {
	repo := repository{down: errors.New("the disk is full")}
	b := newBench(t)
	var said []string
	b.Report = func(e Event) {
		if e.Type == Notice {
			said = append(said, e.Text)
		}
	}
	c := repo.cache("")
	b.build(twoSteps, share(c, c))
	b.wantRan("write a one", "write b two")
	if len(said) != 1 || !strings.Contains(said[0], "cache.example/app") || !strings.Contains(said[0], "the disk is full") {
		t.Errorf("it said %q", said)
	}
}

func TestSharedCacheWithTruncatedLayersSaysSo(t *testing.T) {
	var repo repository
	first := newBench(t)
	first.build(twoSteps, share(nil, repo.cache("")))
	repo.spoiled = true

	second := first.machine()
	text := twoSteps + "RUN write c three\n"
	_, err := second.try(text, share(repo.cache(""), nil))
	var broken *sharedcache.Error
	if !errors.As(err, &broken) || broken.Cache != "cache.example/app" {
		t.Fatalf("a truncated layer: %v", err)
	}
	second.build(text)
	second.wantRan("write a one", "write b two", "write c three")
	second.wantNoDrafts()
}

func TestSharedCacheIgnoresForeignEntries(t *testing.T) {
	var repo repository
	first := newBench(t)
	first.build(twoSteps, share(nil, repo.cache("")))
	var tags []string
	for tag := range repo.images {
		tags = append(tags, tag)
	}
	for i, tag := range tags { // every entry under the tag of another one
		other := repo.images[tags[(i+1)%len(tags)]]
		repo.mu.Lock()
		repo.images[tag] = other
		repo.mu.Unlock()
		if i == len(tags)-2 {
			break
		}
	}
	second := first.machine()
	c := repo.cache("")
	second.build(twoSteps, share(c, c))
	if len(second.ran) == 0 {
		t.Error("a foreign entry was taken")
	}

	third := first.machine() // the second wrote them anew
	third.build(twoSteps, share(repo.cache(""), nil))
	third.wantRan()
}

// assertSameFiles compares the names, modes, owners and contents of two states.
func assertSameFiles(t *testing.T, s1 *layers.Store, k1 layers.Key, s2 *layers.Store, k2 layers.Key) {
	t.Helper()
	list := func(s *layers.Store, k layers.Key) string {
		v, err := s.View(k)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := files.ExportTar(t.Context(), v, &b, files.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		var list strings.Builder
		for r := tar.NewReader(&b); ; {
			h, err := r.Next()
			if err == io.EOF {
				return list.String()
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&list, h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, string(data))
		}
	}
	if list(s1, k1) != list(s2, k2) {
		t.Error("the files differ")
	}
}
