// States whose files are in their layer only, until somebody reads them.

package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ErrMaySplit says that a snapshot has Python distributions, and so may become several layers.
var ErrMaySplit = errors.New("the files may be several layers")

func maySplit(name string) error {
	if _, ok := installer.ListAt(name); ok {
		return ErrMaySplit
	}
	return nil
}

// Pack makes the state k over parent as its layer only: fill tells what changes, and nothing is written but the blob. lower
// has the files that the layer is written over. The state's own are unpacked when they are needed (see Expand); where parent
// is not here, only Layers knows k. The error is ErrMaySplit where Layers could make several.
func (s *Store) Pack(ctx context.Context, k, parent Key, lower *rootfs.View, o LayerOptions, fill func(*rootfs.LayerWriter) error) error {
	held, err := s.disk.lock(ctx, k.String()+".layer")
	if err != nil {
		return fmt.Errorf("packing %s: %w", k, err)
	}
	defer held.Close()
	below := s.Has(parent)
	if _, made := s.maker.stored(k, o); made && (!below || s.Has(k)) {
		return nil
	}
	if s.Has(k) && !o.Whole {
		return nil
	}
	how := rootfs.DiffOptions{Lower: lower, Epoch: o.Epoch}
	if o.Index {
		how.Index = rootfs.NewIndexer(true)
	}
	r, err := s.maker.pack(ctx, packing{Compression: o.Compression, from: sendFrom, report: o.Report}, func(w io.Writer) error {
		return rootfs.WriteLayer(ctx, w, how, func(l *rootfs.LayerWriter) error {
			if o.Max > 1 && !o.Whole {
				l.Refuse(maySplit)
			}
			return fill(l)
		})
	})
	if err == nil && o.Index {
		err = s.maker.keepIndex(how.Index, r)
	}
	if err == nil {
		err = s.maker.remember(o.kind(), k, r)
	}
	if err != nil || !below {
		return s.disk.explain(err)
	}
	return s.snapshots.commitPacked(ctx, k, meta{Parent: parent, Packed: &r})
}

// Expand unpacks what of the state k is packed. It must run where the owners of files can be set, as Draft must.
func (s *Store) Expand(ctx context.Context, k Key) error {
	if !s.Has(k) { // whoever reads the files says so
		return nil
	}
	chain, err := s.snapshots.chain(k)
	if err != nil {
		return err
	}
	slices.Reverse(chain)
	packed := slices.DeleteFunc(slices.Clone(chain), func(k Key) bool { return !s.snapshots.isPacked(k) || s.snapshots.lentOf(k) != nil })
	if one, ok := s.trees.(*oneTree); ok && len(packed) > 0 && packed[0] == chain[0] {
		n := 0
		for n < len(packed) && packed[n] == chain[n] {
			n++
		}
		if err := one.lend(ctx, packed[:n]); err != nil {
			return fmt.Errorf("unpacking %s: %w", k, s.disk.explain(err))
		}
		packed = packed[n:]
	}
	for _, k := range packed {
		if err := s.expand(ctx, k); err != nil {
			return fmt.Errorf("unpacking %s: %w", k, s.disk.explain(err))
		}
	}
	return nil
}

// packedJob is the work for the layer of a snapshot that is packed.
func (s *Store) packedJob(k Key, m meta) *unpackJob {
	return &unpackJob{layer: &storedLayer{blobs: s.blobs, record: *m.Packed}, key: k, parent: m.Parent, record: *m.Packed}
}

// expand unpacks the layer of one snapshot. Its fs appears at once, when all of it is on the disk.
func (s *Store) expand(ctx context.Context, k Key) error {
	held, err := s.disk.lock(ctx, k.String())
	if err != nil {
		return err
	}
	defer held.Close()
	m, err := s.snapshots.readMeta(k)
	if err != nil || s.snapshots.hasFiles(k) {
		return err
	}
	j := s.packedJob(k, m)
	defer j.close()
	u := &unpacking{store: s, key: k, jobs: []*unpackJob{j}}
	if _, err := u.attempt(ctx, j); err != nil {
		return err
	}
	if err := u.finish(0); err != nil {
		return err
	}
	if err := durable.SyncFilesystem(string(s.disk)); err != nil {
		return err
	}
	return os.Rename(j.dir+"/fs", s.disk.snapshot(k, "fs"))
}
