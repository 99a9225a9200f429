package layers

import (
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

type foreignLayer struct{ *testLayer }

func (foreignLayer) MediaType() (types.MediaType, error) { return types.OCIRestrictedLayer, nil }

func TestRecompress(t *testing.T) {
	s := newStore(t)
	l := layerOf(t, testimage.Bytes(3<<20), codec.Compression{})
	for _, c := range []codec.Compression{{Algorithm: "zstd"}, {Algorithm: "none"}} {
		again, err := s.Recompress(t.Context(), l, c, nil)
		check(t, err)
		if mt, _ := again.MediaType(); mt != c.MediaType() {
			t.Errorf("%s: media type %s", c.Algorithm, mt)
		}
		if id, _ := again.DiffID(); id != l.diffID {
			t.Errorf("%s: another DiffID", c.Algorithm)
		}
		r, err := again.Uncompressed()
		check(t, err)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, l.tar) {
			t.Errorf("%s: other bytes, %v", c.Algorithm, err)
		}
	}
	*l.reads = 0
	_, err := s.Recompress(t.Context(), l, codec.Compression{Algorithm: "zstd"}, nil)
	check(t, err)
	for _, same := range []v1.Layer{l, foreignLayer{l}} {
		if got, err := s.Recompress(t.Context(), same, codec.Compression{}, nil); err != nil || got != same {
			t.Errorf("a layer that is to stay as it is: %v, %v", got, err)
		}
	}
	if *l.reads != 0 {
		t.Error("it was made twice, or read for nothing")
	}
	l.diffID = l.digest
	if _, err := s.Recompress(t.Context(), l, codec.Compression{Algorithm: "zstd"}, nil); err == nil {
		t.Error("a layer with another tar than the image says is accepted")
	}
}
