package layers

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// Recompress returns the layer with the same tar and the algorithm of c: l itself if it has that one, or is one that must
// not be distributed. It is made once. report is as in
// LayerOptions.
func (s *Store) Recompress(ctx context.Context, l v1.Layer, c codec.Compression, report func(bytes int)) (v1.Layer, error) {
	mediaType, err := l.MediaType()
	if err != nil {
		return nil, err
	}
	if is := codec.AlgorithmOf(mediaType); is == "" || is == c.Name() {
		return l, nil
	}
	diffID, err := l.DiffID()
	if err != nil {
		return nil, err
	}
	again, err := s.recompress(ctx, l, diffID, c, report)
	if err != nil {
		return nil, fmt.Errorf("compressing layer %s again: %w", diffID, s.explain(err))
	}
	return again, nil
}

func (s *Store) recompress(ctx context.Context, l v1.Layer, diffID v1.Hash, c codec.Compression, report func(bytes int)) (v1.Layer, error) {
	var k Key
	if _, err := hex.Decode(k[:], []byte(diffID.Hex)); err != nil {
		return nil, fmt.Errorf("parsing digest %q: %w", diffID, err)
	}
	kind := fmt.Sprintf("%s-again-%s-%d", baseKind, c.Name(), c.Level)
	held, err := durable.Lock(ctx, s.path("locks", k.String()+".again"), durable.Exclusive)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if known, ok := s.recallLayer(kind, k); ok {
		if size, ok := s.hasBlob(known.record.Digest); ok && size == known.record.Size {
			return known, nil
		}
	}
	r, err := s.pack(ctx, packing{Compression: c, from: sendWhole, report: report}, func(w io.Writer) error { return s.copyTar(ctx, w, l) })
	if err == nil && r.DiffID != diffID {
		err = &CorruptError{What: "layer " + diffID.String(), Err: fmt.Errorf("it unpacks to %s", r.DiffID)}
	}
	if err != nil {
		return nil, err
	}
	return &storedLayer{store: s, record: r}, s.rememberLayer(kind, k, r)
}

func (s *Store) copyTar(ctx context.Context, w io.Writer, l v1.Layer) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	packed, err := l.Compressed()
	if err != nil {
		return err
	}
	defer packed.Close()
	r, err := codec.Decompress(packed)
	if err != nil {
		return err
	}
	defer r.Close()
	limited := codec.Limit(ctx, r, mostUnpackedOf(size))
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, limited, make([]byte, copyBuffer))
	return err
}
