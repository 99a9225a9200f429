// One layer of many snapshots.

package layers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Squash returns one layer of all snapshots of the state k that are above the state base, and whether it was there
// already. Of the options it needs the compression, Epoch and Report.
func (s *Store) Squash(ctx context.Context, k, base Key, o LayerOptions) (v1.Layer, bool, error) {
	name, kind := squashKey(k, base), o.squashKind()
	if l, ok := s.maker.squashed(kind, name); ok {
		return l, true, nil
	}
	held, err := s.disk.lock(ctx, name.String()+".layer")
	if err != nil {
		return nil, false, fmt.Errorf("squashing %s: %w", k, err)
	}
	defer held.Close()
	if l, ok := s.maker.squashed(kind, name); ok {
		return l, true, nil
	}
	r, err := s.squash(ctx, k, base, o)
	if err == nil {
		err = s.maker.remember(kind, name, r)
	}
	if err != nil {
		return nil, false, fmt.Errorf("squashing %s: %w", k, s.disk.explain(err))
	}
	return &storedLayer{blobs: s.blobs, record: r}, false, nil
}

// HasSquashed says whether Squash would only look up, and not make, the layer.
func (s *Store) HasSquashed(k, base Key, o LayerOptions) bool {
	_, ok := s.maker.squashed(o.squashKind(), squashKey(k, base))
	return ok
}

// squashKind names squashed layers that are made in this way.
func (o LayerOptions) squashKind() string {
	if rootfs.Lossy() {
		return o.wayKind() + "-squash" + lossyKind
	}
	return o.wayKind() + "-squash"
}

// squashKey names the layer of what is between two states.
func squashKey(k, base Key) Key { return sha256.Sum256(append(k[:], base[:]...)) }

// squashed returns the layer that was made before, if its bytes are here.
func (m *maker) squashed(kind string, name Key) (*storedLayer, bool) {
	l, ok := m.recall(kind, name)
	return l, ok && m.here(l.record)
}

func (s *Store) squash(ctx context.Context, k, base Key, o LayerOptions) (r layerRecord, err error) {
	if err := s.Expand(ctx, k); err != nil {
		return r, err
	}
	lower, err := s.View(base)
	if err != nil {
		return r, err
	}
	chain, err := s.snapshots.chain(k)
	if err != nil {
		return r, err
	}
	n := len(chain)
	if !base.IsZero() {
		n = slices.Index(chain, base)
	}
	if n <= 0 {
		return r, errors.New("it does not stand on " + base.String())
	}
	for _, above := range chain[:n] {
		if err := s.fetchBack(ctx, above); err != nil {
			return r, err
		}
	}
	dirs := s.snapshots.dirs(chain[:n])
	slices.Reverse(dirs)
	return s.maker.pack(ctx, packing{Compression: o.Compression, from: sendFrom, report: o.Report}, func(w io.Writer) error {
		return rootfs.WriteDiff(ctx, w, dirs, rootfs.DiffOptions{Lower: lower, Epoch: o.Epoch})
	})
}
