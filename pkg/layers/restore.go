// States that another machine has made, from the layers that it made of them.

package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Restore makes the state k over parent from the layers that another machine made of it, the lowest first. They become
// one snapshot. Bytes that are not what the layers say leave nothing behind. report is told the compressed bytes that
// were read, and all that are to be read. Layers with the options o gives these layers, too: they need not be made again.
func (s *Store) Restore(ctx context.Context, parent, k Key, all []v1.Layer, o LayerOptions, report func(done, total int64)) error {
	d, err := s.Draft(ctx, parent)
	if err != nil {
		return err
	}
	defer d.Discard()
	u := &unpacking{store: s, report: report}
	if err := u.restoreAll(ctx, d, all); err != nil {
		return fmt.Errorf("restoring a state: %w", s.disk.explain(err))
	}
	var records []layerRecord
	for _, j := range u.jobs {
		j.record.Distributions = DistributionsOf(j.layer)
		records = append(records, j.record)
	}
	data, err := json.Marshal(records)
	if err != nil {
		return err
	}
	if !s.HasLayers(k, o) {
		err = s.records.remember(o.kind(), k, data)
	}
	return errors.Join(err, d.Commit(ctx, k))
}

// restoreAll unpacks all layers into the draft, each over those before it.
func (u *unpacking) restoreAll(ctx context.Context, d *Draft, all []v1.Layer) error {
	for _, l := range all {
		j, err := u.job(l)
		if err != nil {
			return err
		}
		u.jobs = append(u.jobs, j)
	}
	a, err := rootfs.NewApplier(d.Dir(), mostUnpackedOf(u.total), u.store.notice)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, j := range u.jobs {
		j.applier = a
		if err := u.restore(ctx, j); err != nil {
			return fmt.Errorf("layer %s: %w", j.record.Digest, err)
		}
	}
	return a.Finish(d.Lower())
}

// restore unpacks one layer into the draft.
func (u *unpacking) restore(ctx context.Context, j *unpackJob) error {
	in, err := u.open(ctx, j)
	if err != nil {
		return err
	}
	defer in.close()
	return u.unpack(ctx, j, in)
}
