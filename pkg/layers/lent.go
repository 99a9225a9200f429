// Lent snapshots: those whose files were unpacked beside the one tree in a place, and are moved into it, so that they are written once.
// In the store they are packed: an index says what is in them, and who reads a file of one that the tree has taken gets it out of the layer.

package layers

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// lent is such a snapshot.
type lent struct {
	*snapshotter.Loose
	index rootfs.Index
}

// fetchBack brings the files of a snapshot that is packed, lent or not, into the store.
func (s *Store) fetchBack(ctx context.Context, k Key) error {
	if !s.snapshots.isPacked(k) {
		return nil
	}
	return s.expand(ctx, k)
}

// lentOf returns a lent snapshot, and nil of any other.
func (s *snapshots) lentOf(k Key) *lent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lent[k]
}

// lend unpacks packed snapshots, the lowest first, beside the tree.
func (o *oneTree) lend(ctx context.Context, packed []Key) error {
	u := &unpacking{store: o.store, lender: o, key: packed[len(packed)-1]}
	for _, k := range packed {
		m, err := o.store.snapshots.heldMeta(k)
		if err != nil {
			return err
		}
		u.jobs = append(u.jobs, o.store.packedJob(k, m))
	}
	return u.run(ctx)
}

// keepLent keeps what was unpacked beside the tree.
func (o *oneTree) keepLent(ctx context.Context, j *unpackJob) error {
	s := o.store
	later := context.WithoutCancel(ctx) // files are read after the last step, too
	dir := j.dir + "/fs"
	l := &lent{Loose: snapshotter.NewLoose(dir, func() (string, error) { return s.disk.snapshot(j.key, "fs"), s.fetchBack(later, j.key) })}
	name, err := indexName([]v1.Layer{j.layer}, Key{})
	if err != nil {
		return err
	}
	data, known := s.records.recall(filesKind, name)
	if known {
		l.index, err = rootfs.OpenIndex(data, l.Loose)
	}
	if !known || err != nil {
		if data, err = s.maker.indexDirectory(ctx, dir, name, false); err == nil {
			l.index, err = rootfs.OpenIndex(data, l.Loose)
		}
	}
	if err == nil && !s.Has(j.key) {
		err = s.snapshots.commitPacked(ctx, j.key, meta{Parent: j.parent, Packed: &j.record})
	}
	if err != nil {
		return err
	}
	s.snapshots.mu.Lock()
	defer s.snapshots.mu.Unlock()
	s.snapshots.lent[j.key] = l
	j.lent = true
	return nil
}

// loosen returns the files of those snapshots of a state that are lent, the lowest first, and the keys of those above them. Files that the
// tree has taken before are unpacked again.
func (o *oneTree) loosen(ctx context.Context, k Key) (all []snapshotter.Adopted, above []Key, err error) {
	chain, err := o.store.snapshots.chain(k)
	if err != nil {
		return nil, nil, err
	}
	slices.Reverse(chain)
	n := 0
	for n < len(chain) && o.store.snapshots.lentOf(chain[n]) != nil {
		n++
	}
	gone := slices.DeleteFunc(slices.Clone(chain[:n]), func(k Key) bool { return o.store.snapshots.lentOf(k).IsHere() })
	if len(gone) > 0 {
		if err := o.lend(ctx, gone); err != nil {
			return nil, nil, err
		}
	}
	for _, k := range chain[:n] {
		l := o.store.snapshots.lentOf(k)
		all = append(all, snapshotter.Adopted{From: l.Loose, Hiding: l.index.Hiding()})
	}
	return all, chain[n:], nil
}

// giveUp says that all that is still beside the tree will go.
func (o *oneTree) giveUp() {
	o.store.snapshots.mu.Lock()
	defer o.store.snapshots.mu.Unlock()
	for _, l := range o.store.snapshots.lent {
		l.Take()
	}
}
