package layers

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// What is reported adds up to the tars that are made, and nothing is where none is.
func TestReportOfLayers(t *testing.T) {
	s := newStore(t)
	change(t, s, Key{}, keyOf("base"), func(root string) { script(t, root, "truncate -s 2M x") })
	change(t, s, keyOf("base"), keyOf("top"), func(root string) {
		script(t, root, dist+`dist a a/x; truncate -s 17M sp/a/x; echo 1 >sp/one`)
	})
	made := func() []v1.Layer {
		all, _, err := s.Layers(t.Context(), keyOf("top"), LayerOptions{Max: 12})
		check(t, err)
		return all
	}
	for _, c := range []struct {
		name   string
		layers func(report func(int)) ([]v1.Layer, error)
	}{
		{"layers", func(report func(int)) ([]v1.Layer, error) {
			all, _, err := s.Layers(t.Context(), keyOf("top"), LayerOptions{Max: 12, Report: report})
			return all, err
		}},
		{"squash", func(report func(int)) ([]v1.Layer, error) {
			l, _, err := s.Squash(t.Context(), keyOf("top"), Key{}, LayerOptions{Report: report})
			return []v1.Layer{l}, err
		}},
		{"recompress", func(report func(int)) ([]v1.Layer, error) {
			l, err := s.Recompress(t.Context(), made()[0], codec.Compression{Algorithm: "zstd"}, report)
			return []v1.Layer{l}, err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for round := range 2 {
				var reported atomic.Int64
				all, err := c.layers(func(n int) { reported.Add(int64(n)) })
				check(t, err)
				var want int64
				for _, l := range all {
					r, err := l.Uncompressed()
					check(t, err)
					n, err := io.Copy(io.Discard, r)
					check(t, err)
					want += n
				}
				if round > 0 {
					want = 0
				}
				if got := reported.Load(); got != want {
					t.Errorf("round %d: %d bytes, want %d", round, got, want)
				}
			}
		})
	}
}

// A layer is never in memory.
func TestLayerMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 300 MB")
	}
	s := newStore(t)
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	block := testimage.Bytes(32 << 20)
	f, err := os.Create(d.Dir() + "/big")
	check(t, err)
	for range 4 {
		_, err := f.Write(block)
		check(t, err)
	}
	check(t, f.Truncate(300<<20))
	check(t, f.Close())
	block = nil //nolint:ineffassign,wastedassign // The collector is to have it.
	check(t, d.Commit(t.Context(), keyOf("big")))
	runtime.GC()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(32))
	for _, c := range []codec.Compression{{Level: 1}, {Algorithm: "zstd"}} {
		before := resident(t)
		all, _, err := s.Layers(t.Context(), keyOf("big"), LayerOptions{Compression: c})
		check(t, err)
		if used := resident(t) - before; used > 100 {
			t.Errorf("making a layer of 300 MB by %s took %d MB of memory", c.Name(), used)
		}
		if size, _ := all[0].Size(); size > 250<<20 || size < 10<<20 {
			t.Errorf("size %d", size)
		}
	}
}

// resident returns the peak of the memory of this process in MB.
func resident(t *testing.T) int {
	data, err := os.ReadFile("/proc/self/status")
	check(t, err)
	for _, line := range strings.Split(string(data), "\n") {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Skip("no VmHWM")
	return 0
}
