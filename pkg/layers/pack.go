package layers

import (
	"context"
	"crypto/rand"
	"encoding/json"
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

var errPacked = errors.New("its files are not unpacked")

func maySplit(name string) error {
	if _, ok := installer.ListAt(name); ok {
		return ErrMaySplit
	}
	return nil
}

// Pack makes the state k over parent as its layer only: fill tells what changes, and nothing is written but the blob. lower
// has the files that the layer is written over. The state's own are unpacked when they are needed (see Expand); where parent
// is not here, only Layers knows k. Seen from outside of a namespace, the caller's own files below
// are root's; the error is ErrForeignOwner where others matter, and ErrMaySplit where Layers could make several.
func (s *Store) Pack(ctx context.Context, k, parent Key, lower *rootfs.View, o LayerOptions, fill func(*rootfs.LayerWriter) error) error {
	if os.Geteuid() != 0 {
		lower = lower.AsRoot()
	}
	held, err := durable.Lock(ctx, s.path("locks", k.String()+".layer"), durable.Exclusive)
	if err != nil {
		return fmt.Errorf("packing %s: %w", k, err)
	}
	defer held.Close()
	below := s.Has(parent)
	if s.Has(k) || !below && s.HasLayers(k, o) {
		return nil
	}
	how := rootfs.DiffOptions{Lower: lower, Epoch: o.Epoch}
	if o.Index {
		how.Index = rootfs.NewIndexer(true)
	}
	r, err := s.pack(ctx, packing{Compression: o.Compression, from: sendFrom, report: o.Report}, func(w io.Writer) error {
		return rootfs.WriteLayer(ctx, w, how, func(l *rootfs.LayerWriter) error {
			if o.Max > 1 {
				l.Refuse(maySplit)
			}
			return fill(l)
		})
	})
	if err == nil && o.Index {
		err = s.keepIndex(how.Index, r)
	}
	if err == nil {
		err = s.rememberLayer(o.kind(), k, r)
	}
	if err != nil || !below {
		return s.explain(err)
	}
	return s.commitPacked(ctx, k, meta{Parent: parent, Packed: &r})
}

// commitPacked gives a snapshot without files its name. It needs no mark: what a crash of the machine cuts off of meta.json
// is as good as no snapshot, and so is one whose layer is dropped.
func (s *Store) commitPacked(ctx context.Context, k Key, m meta) error {
	draft := s.path("drafts", rand.Text())
	held, err := durable.Lock(ctx, draft+".lock", durable.Exclusive)
	if err != nil {
		return fmt.Errorf("committing %s: %w", k, err)
	}
	defer held.Close()
	defer os.Remove(draft + ".lock")
	defer os.RemoveAll(draft)
	data, err := json.Marshal(m)
	if err == nil {
		err = os.MkdirAll(draft+"/snap", 0o700)
	}
	if err == nil {
		err = durable.Replace(draft+"/snap/meta.json", data)
	}
	if err == nil {
		err = s.rename(draft+"/snap", k)
	}
	if err != nil {
		return fmt.Errorf("committing %s: %w", k, err)
	}
	s.Has(k)
	return nil
}

// hasFiles says whether the files of a committed snapshot are unpacked.
func (s *Store) hasFiles(k Key) bool {
	_, err := os.Lstat(s.snapshot(k, "fs"))
	return err == nil
}

// Unpacked says whether all files of the state k are there, so that View shows them: Expand would do nothing.
func (s *Store) Unpacked(k Key) bool {
	_, err := s.stack(k)
	return err == nil
}

// Expand unpacks what of the state k is packed. It must run where the owners of files can be set, as Draft must.
func (s *Store) Expand(ctx context.Context, k Key) error {
	if !s.Has(k) { // whoever reads the files says so
		return nil
	}
	var packed []Key
	for depth := 0; !k.IsZero() && depth < maxStack; depth++ {
		m, err := s.heldMeta(k)
		if err != nil {
			return err
		}
		if m.Packed != nil && !s.hasFiles(k) {
			packed = append(packed, k)
		}
		k = m.Parent
	}
	for _, k := range slices.Backward(packed) {
		if err := s.expand(ctx, k); err != nil {
			return fmt.Errorf("unpacking %s: %w", k, s.explain(err))
		}
	}
	return nil
}

// expand unpacks the layer of one snapshot. Its fs appears at once, when all of it is on the disk.
func (s *Store) expand(ctx context.Context, k Key) error {
	held, err := durable.Lock(ctx, s.path("locks", k.String()), durable.Exclusive)
	if err != nil {
		return err
	}
	defer held.Close()
	m, err := s.readMeta(k)
	if err != nil || s.hasFiles(k) {
		return err
	}
	j := &unpackJob{layer: &storedLayer{store: s, record: *m.Packed}, key: k, parent: m.Parent, record: *m.Packed}
	defer j.close()
	u := &unpacking{store: s, key: k, jobs: []*unpackJob{j}}
	if _, err := u.attempt(ctx, j); err != nil {
		return err
	}
	if err := u.finish(0); err != nil {
		return err
	}
	if err := durable.SyncFilesystem(s.dir); err != nil {
		return err
	}
	return os.Rename(j.dir+"/fs", s.snapshot(k, "fs"))
}
