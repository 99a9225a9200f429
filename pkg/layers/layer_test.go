package layers

import (
	"io"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
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
			l, _, err := s.Squash(t.Context(), keyOf("top"), Key{}, Compression{}, report)
			return []v1.Layer{l}, err
		}},
		{"recompress", func(report func(int)) ([]v1.Layer, error) {
			l, err := s.Recompress(t.Context(), made()[0], Compression{Algorithm: "zstd"}, report)
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
