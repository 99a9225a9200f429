package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// bench is a Builder over a store of its own whose RUNs are a Go function: "RUN write PATH TEXT" writes a file,
// "RUN fail" fails, and every argument vector is recorded.
type bench struct {
	*testing.T
	*Builder
	dir, context string
	options      dockerfile.Options
	mu           sync.Mutex
	ran          []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir(), context: t.TempDir()}
	store, err := layers.Open(filepath.Join(b.dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	caches, err := pipcache.Open(filepath.Join(b.dir, "caches"))
	if err != nil {
		t.Fatal(err)
	}
	b.Builder = &Builder{Store: store, Caches: caches, Entered: true, Jobs: 4, Exec: b.exec,
		Fetch: func(context.Context, string, v1.Platform) (v1.Image, error) { return empty.Image, nil }}
	return b
}

func (b *bench) exec(_ context.Context, s *runtime.Sandbox) error {
	command := s.Args[len(s.Args)-1]
	b.mu.Lock()
	b.ran = append(b.ran, command)
	b.mu.Unlock()
	words := strings.Fields(command)
	switch words[0] {
	case "write":
		path := filepath.Join(s.Root, words[1])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.Join(words[2:], " ")), 0o644)
	case "pip": // install NAME=MEGABYTES...
		return install(s, words[2:])
	case "remove":
		return os.Remove(filepath.Join(s.Root, words[1]))
	case "clear": // an opaque directory
		return errors.Join(os.RemoveAll(filepath.Join(s.Root, words[1])), os.Mkdir(filepath.Join(s.Root, words[1]), 0o700))
	case "absent":
		if _, err := os.Lstat(filepath.Join(s.Root, words[1])); err == nil {
			return errors.New(words[1] + " is there")
		}
	case "mount": // the first mount's source must have the file
		_, err := os.Stat(filepath.Join(s.Mounts[0].Source, words[1]))
		return err
	case "copy": // the file that the first mount's source has
		data, err := os.ReadFile(filepath.Join(s.Mounts[0].Source, words[1]))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(s.Root, words[1]), data, 0o644)
	case "agent": // the first mount is a socket that answers, and belongs to
		return askAgent(s.Mounts[0].Source, words[1])
	case "sock":
		for _, pair := range s.Env {
			if value, ok := strings.CutPrefix(pair, "SSH_AUTH_SOCK="); ok && value != words[1] {
				return errors.New(pair)
			}
		}
	case "fail":
		return &runtime.ExitError{Code: 7}
	}
	return nil
}

func (b *bench) file(name, text string) {
	b.Helper()
	path := filepath.Join(b.context, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) try(text string, change ...func(*Request)) (*Result, error) {
	b.Helper()
	return b.tryWith(b.T.Context(), text, change...)
}

func (b *bench) tryWith(ctx context.Context, text string, change ...func(*Request)) (*Result, error) {
	b.Helper()
	plan, err := dockerfile.Parse("Dockerfile", []byte(text), b.options)
	if err != nil {
		return nil, err
	}
	c, err := files.OpenContext(ctx, b.context, files.ContextOptions{StateDir: b.Store.Dir()})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	req := &Request{Plan: plan, Context: c}
	for _, f := range change {
		f(req)
	}
	b.ran = nil
	return b.Build(ctx, req)
}

func (b *bench) build(text string, change ...func(*Request)) *Result {
	b.Helper()
	r, err := b.try(text, change...)
	if err != nil {
		b.Fatal(err)
	}
	if err := validate.Image(r.Image); err != nil {
		b.Fatal(err)
	}
	return r
}

// wantRan compares what ran since the last build began, in any order.
func (b *bench) wantRan(want ...string) {
	b.Helper()
	left := append([]string(nil), b.ran...)
	for _, w := range want {
		found := false
		for i, r := range left {
			if r == w {
				left, found = append(left[:i], left[i+1:]...), true
				break
			}
		}
		if !found {
			b.Errorf("%q did not run; these did: %q", w, b.ran)
		}
	}
	if len(left) > 0 {
		b.Errorf("these ran, too: %q", left)
	}
}

const twoSteps = "FROM scratch\nRUN write a one\nRUN write b two\n"

func TestSecondBuildRunsNothing(t *testing.T) {
	b := newBench(t)
	first := b.build(twoSteps)
	b.wantRan("write a one", "write b two")
	second := b.build(twoSteps)
	b.wantRan()
	if second.Steps != 0 {
		t.Errorf("%d steps were executed", second.Steps)
	}
	one, _ := first.Image.Digest()
	if two, _ := second.Image.Digest(); one != two {
		t.Errorf("the image changed from %v to %v", one, two)
	}
}

func TestStoredBuildNeedsNoNamespace(t *testing.T) {
	b := newBench(t)
	b.build(twoSteps)
	b.Entered = false
	b.build(twoSteps)
	if _, err := b.try("FROM scratch\nRUN write c three\n"); !errors.Is(err, ErrNeedsNamespace) {
		t.Errorf("a new RUN outside of the namespace: %v", err)
	}
	b.wantRan()
}

func TestChangeRunsWhatDependsOnIt(t *testing.T) {
	b := newBench(t)
	text := "FROM scratch\nRUN write a one\nCOPY f /f\nRUN write b two\n"
	b.file("f", "1")
	b.build(text)
	b.file("f", "2")
	b.build(text)
	b.wantRan("write b two")
}

func TestNoCacheRunsAgainAndCounts(t *testing.T) {
	b := newBench(t)
	before := b.build(twoSteps)
	again := b.build(twoSteps, func(r *Request) { r.NoCache = true })
	b.wantRan("write a one", "write b two")
	if before.Key == again.Key {
		t.Error("--no-cache gave the old state")
	}
	later := b.build(twoSteps)
	b.wantRan()
	if later.Key != again.Key {
		t.Error("the build after --no-cache used an older state")
	}
}

func TestCopyFromHitsWhenTheStageMadeTheSameFiles(t *testing.T) {
	b := newBench(t)
	text := "FROM scratch AS one\nRUN write x same #1\nRUN write junk 1\nFROM scratch\nCOPY --from=one /x /x\nRUN write b two\n"
	b.build(text)
	changed := strings.Replace(text, "write junk 1", "write junk 2", 1)
	b.build(changed)
	b.wantRan("write junk 2")
}

func TestIdenticalStepsRunOnce(t *testing.T) {
	b := newBench(t)
	b.build("FROM scratch AS one\nRUN write x 1\nFROM scratch AS two\nRUN write x 1\nFROM scratch\nCOPY --from=one /x /1\nCOPY --from=two /x /2\n")
	b.wantRan("write x 1")
}

func TestOnlyNeededStages(t *testing.T) {
	b := newBench(t)
	b.build("FROM scratch AS unused\nRUN fail\nFROM scratch\nRUN write a one\n")
	b.wantRan("write a one")
}

func TestFailureNamesItsLineAndLeavesNothing(t *testing.T) {
	b := newBench(t)
	_, err := b.try("FROM scratch\nRUN write a one\nRUN fail\n")
	var at *dockerfile.Error
	var exit *runtime.ExitError
	if !errors.As(err, &at) || at.Start != 3 || !errors.As(err, &exit) || exit.Code != 7 {
		t.Fatalf("error %v (%T)", err, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), b.dir) {
		t.Error("a mount was left")
	}
	b.wantNoDrafts()
}

// wantNoDrafts closes the store and looks whether a draft is left in it.
func (b *bench) wantNoDrafts() {
	b.Helper()
	if err := b.Store.Close(); err != nil {
		b.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Join(b.Store.Dir(), "drafts")); len(left) > 0 {
		b.Errorf("a draft was left: %v", left)
	}
}

func TestBindMountsShowContextAndStage(t *testing.T) {
	b := newBench(t)
	b.file("dir/f", "1")
	b.build("FROM scratch AS one\nRUN write made/x 1\nFROM scratch\nRUN --mount=target=/src mount dir/f\nRUN --mount=from=one,source=made,target=/m mount x\n")
	b.wantRan("write made/x 1", "mount dir/f", "mount x")
	b.file("dir/f", "2")
	b.build("FROM scratch\nRUN --mount=target=/src mount dir/f\n")
	b.wantRan("mount dir/f")
}

func TestMain(m *testing.M) {
	runtime.Init()
	remote.InitGit()
	if host.Entered() || isFuzzWorker() {
		os.Exit(m.Run())
	}
	code, err := host.Enter(context.Background(), host.EnterOptions{})
	if err != nil {
		os.Stderr.WriteString("skipping: " + err.Error() + "\n")
		os.Exit(0)
	}
	os.Exit(code)
}

// isFuzzWorker: a worker of go test -fuzz talks to its parent over descriptors that a second exec would lose.
func isFuzzWorker() bool { return slices.Contains(os.Args, "-test.fuzzworker") }
