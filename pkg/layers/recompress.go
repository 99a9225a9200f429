// This file owns the way from a layer to the same layer in another compression: the tar and the DiffID stay, the bytes of the blob
// change. The new blob is remembered, so that it is made once.

package layers

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// recompressed returns the layer with the same tar and the algorithm of c: l itself if it has that one, or is one that must
// not be distributed. It is made once. report is as in LayerOptions.
func (m *maker) recompressed(ctx context.Context, l v1.Layer, c codec.Compression, report func(bytes int)) (v1.Layer, error) {
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
	again, err := m.recompress(ctx, l, diffID, c, report)
	if err != nil {
		return nil, fmt.Errorf("compressing layer %s again: %w", diffID, m.blobs.disk.explain(err))
	}
	return again, nil
}

func (m *maker) recompress(ctx context.Context, l v1.Layer, diffID v1.Hash, c codec.Compression, report func(bytes int)) (v1.Layer, error) {
	var k Key
	if _, err := hex.Decode(k[:], []byte(diffID.Hex)); err != nil {
		return nil, fmt.Errorf("parsing digest %q: %w", diffID, err)
	}
	kind := fmt.Sprintf("%s-again-%s-%d", baseKind, c.Name(), c.Level)
	held, err := m.blobs.disk.lock(ctx, k.String()+".again")
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if known, ok := m.recall(kind, k); ok && m.here(known.record) {
		return known, nil
	}
	r, err := m.pack(ctx, packing{Compression: c, from: sendWhole, report: report}, func(w io.Writer) error { return copyTar(ctx, w, l) })
	if err == nil && r.DiffID != diffID {
		err = &CorruptError{What: "layer " + diffID.String(), Err: fmt.Errorf("it unpacks to %s", r.DiffID)}
	}
	if err != nil {
		return nil, err
	}
	return &storedLayer{blobs: m.blobs, record: r}, m.remember(kind, k, r)
}

func copyTar(ctx context.Context, w io.Writer, l v1.Layer) error {
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
