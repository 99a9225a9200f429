package layers

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// baseKind is the record of a layer that came from an image: it is what it is, whatever compression is asked for.
const baseKind = "layer"

// Layer returns the layer of the snapshot of k, without those below it, and whether it was there already. One that was
// unpacked from an image is returned as it came. Any other is written in one pass: snapshot, tar, digest, compression,
// digest, blob. Processes that want the same layer wait for the first.
func (s *Store) Layer(ctx context.Context, k Key, c Compression) (v1.Layer, bool, error) {
	if l, ok := s.storedLayer(k, c); ok {
		return l, true, nil
	}
	held, err := lock(ctx, s.path("locks", k.String()+".layer"), unix.LOCK_EX)
	if err != nil {
		return nil, false, fmt.Errorf("making the layer of %s: %w", k, err)
	}
	defer held.Close()
	if l, ok := s.storedLayer(k, c); ok {
		return l, true, nil
	}
	l, err := s.makeLayer(ctx, k, c)
	if err != nil {
		return nil, false, fmt.Errorf("making the layer of %s: %w", k, s.explain(err))
	}
	return l, false, nil
}

// HasLayer says whether Layer would only look up, and not make, the layer.
func (s *Store) HasLayer(k Key, c Compression) bool {
	_, ok := s.storedLayer(k, c)
	return ok
}

// storedLayer returns the layer if its bytes are here or can be fetched.
func (s *Store) storedLayer(k Key, c Compression) (*storedLayer, bool) {
	if l, ok := s.recallLayer(baseKind, k); ok {
		if _, here := s.hasBlob(l.record.Digest); here || l.record.Source != "" && s.Fetch != nil {
			return l, true
		}
	}
	l, ok := s.recallLayer(c.kind(), k)
	if !ok {
		return nil, false
	}
	size, ok := s.hasBlob(l.record.Digest)
	return l, ok && size == l.record.Size
}

func (s *Store) makeLayer(ctx context.Context, k Key, c Compression) (*storedLayer, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	view, err := s.View(k)
	if err != nil {
		return nil, err
	}
	if len(view.dirs) == 0 {
		return nil, fmt.Errorf("scratch has no layer")
	}
	blob, err := s.newBlob(ctx)
	if err != nil {
		return nil, err
	}
	defer blob.abort()
	z := newCompressor(blob, codec)
	err = WriteDiff(ctx, z, view.dirs[0], NewView(view.dirs[1:]...), DiffOptions{Epoch: c.Epoch})
	diffID, finishErr := z.finish()
	if err == nil {
		err = finishErr
	}
	if err != nil {
		return nil, err
	}
	d, err := blob.commit(v1.Hash{})
	if err != nil {
		return nil, err
	}
	l := &storedLayer{store: s, record: layerRecord{DiffID: diffID, Digest: d.Digest, Size: d.Size, MediaType: c.mediaType(), Made: time.Now()}}
	return l, s.rememberLayer(c.kind(), k, l.record)
}
