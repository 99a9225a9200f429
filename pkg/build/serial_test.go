package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// inPlace lets a bench build in a directory that has a file of somebody, and returns the directory.
func (b *bench) inPlace() string {
	b.Helper()
	dir := b.T.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/theirs", 0o755), os.WriteFile(dir+"/theirs/f", []byte("theirs"), 0o644)); err != nil {
		b.Fatal(err)
	}
	if err := b.Store.UsePlace(layers.Place{Dir: dir, Own: dir + "/own"}); err != nil {
		b.Fatal(err)
	}
	b.Serial = true
	return dir
}

// wantTheirs checks that a place has what it had before.
func (b *bench) wantTheirs(dir string) {
	b.Helper()
	if err := b.Store.LeavePlace(); err != nil {
		b.Error(err)
	}
	var names []string
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if names = append(names, strings.TrimPrefix(name, dir)); name == dir+"/own" {
			return filepath.SkipDir // what was taken out may still be removed
		}
		return err
	})
	if got := strings.Join(names, " "); err != nil || got != " /own /theirs /theirs/f" {
		b.Errorf("the place has %q, %v", got, err)
	}
}

// serial are builds of several stages, and the order in which their steps run where there is one tree.
var serial = map[string]struct{ text, order string }{
	"side by side": {`FROM scratch AS one
RUN write a 1
RUN write b 2
FROM scratch AS two
RUN write c 3
RUN write d 4
FROM scratch
RUN write e 5
COPY --from=one /a /a
RUN absent b
COPY --from=two /d /d
RUN write f 6
`, "write a 1, write b 2, write c 3, write d 4, write e 5, absent b, write f 6"},
	"on each other": {`FROM scratch AS base
RUN write a 1
FROM base AS two
RUN clear x
RUN write x/y 2
FROM base
COPY --from=two /x /z
RUN absent x
RUN --mount=from=two,target=/m mount x/y
`, "write a 1, clear x, write x/y 2, absent x, mount x/y"},
	"through a mount": {`FROM scratch AS tool
RUN write tool text
FROM scratch AS made
RUN --mount=from=tool,target=/t copy tool
FROM made
RUN write q 1
`, ""},
}

// A build with one tree gives what one with mounts gives, at once and when it is asked for again, with a cache of others or without.
func TestOneStageAfterTheOther(t *testing.T) {
	for name, c := range serial {
		t.Run(name, func(t *testing.T) {
			want, _ := newBench(t).build(c.text, atEpoch).Image.Digest()
			b, store := newBench(t), &repository{}
			dir := b.inPlace()
			var running, most int
			b.Exec = func(ctx context.Context, s *runtime.Sandbox) error {
				b.mu.Lock()
				running++
				most = max(most, running)
				b.mu.Unlock()
				time.Sleep(5 * time.Millisecond)
				defer func() { b.mu.Lock(); running--; b.mu.Unlock() }()
				return b.exec(ctx, s)
			}
			for i, change := range []func(*Request){
				func(r *Request) {},
				func(r *Request) { r.NoCache = true },
				func(r *Request) { r.CacheFrom = []*sharedcache.Cache{store.cache("x")} },
				func(r *Request) {
					r.CacheFrom, r.Fresh = []*sharedcache.Cache{store.cache("x")}, map[string]bool{"one": true, "two": true}
				},
			} {
				got, _ := b.build(c.text, atEpoch, change).Image.Digest()
				if got != want {
					t.Errorf("build %d: %v, want %v", i, got, want)
				}
				if order := strings.Join(b.ran, ", "); i < 2 && c.order != "" && order != c.order {
					t.Errorf("build %d: %s; want %s", i, order, c.order)
				}
			}
			if most != 1 {
				t.Errorf("%d RUNs at once", most)
			}
			b.wantTheirs(dir)
		})
	}
}

// A build that nobody has seen before asks a cache for everything, and runs what is missing, without a stage waiting for itself.
func TestOneStageAfterTheOtherWithACacheOfOthers(t *testing.T) {
	for name, c := range serial {
		t.Run(name, func(t *testing.T) {
			store := &repository{}
			other := newBench(t)
			want, _ := other.build(c.text, atEpoch, func(r *Request) { r.CacheTo = []*sharedcache.Cache{store.cache("x")} }).Image.Digest()
			b := newBench(t)
			dir := b.inPlace()
			from := func(r *Request) { r.CacheFrom = []*sharedcache.Cache{store.cache("x")} }
			if got, _ := b.build(c.text, atEpoch, from).Image.Digest(); got != want || len(b.ran) > len(other.ran) {
				t.Errorf("%v, want %v; these ran: %q", got, want, b.ran)
			}
			changed := c.text + "RUN write last 1\n"
			b.build(changed, atEpoch, from)
			if !slices.Contains(b.ran, "write last 1") {
				t.Errorf("these ran: %q", b.ran)
			}
			b.wantTheirs(dir)
		})
	}
}

// What fails, or is given up, leaves nothing in the place.
func TestFailureLeavesNothingInThePlace(t *testing.T) {
	b := newBench(t)
	dir := b.inPlace()
	if _, err := b.try("FROM scratch\nRUN write a one\nRUN fail\n"); err == nil {
		t.Error("no error")
	}
	b.wantTheirs(dir)
	ctx, cancel := context.WithCancel(t.Context())
	b.Exec = func(ctx context.Context, s *runtime.Sandbox) error {
		cancel()
		return errors.Join(os.WriteFile(s.Root+"/half", nil, 0o644), context.Cause(ctx))
	}
	if _, err := b.tryWith(ctx, "FROM scratch\nRUN write b one\nRUN write c two\n"); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	b.wantTheirs(dir)
	b.wantNoDrafts()
}
