// Making the several layers of a snapshot that is divided. Those that were made before, of any state, are found by the digest of
// their tar.

package layers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// packParts makes the layers of parts and, the last, that of the rest, which is mostly a walk, beside them. Those that were
// made before, of any state, are found by the digest of their tar: so that is taken first, of all side by side, for parts
// whose distributions are known. The files are read every time, since neither a version nor a list says truly what is in them.
func (m *maker) packParts(ctx context.Context, snapshot string, parts []*split.Part, o LayerOptions,
	rest func(context.Context) (layerRecord, error)) ([]layerRecord, error) {
	records := make([]layerRecord, len(parts)+1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		records[len(parts)], err = rest(ctx)
		return err
	})
	group.Go(func() error {
		if err := m.findParts(ctx, snapshot, parts, o, records); err != nil {
			return err
		}
		for _, i := range largestFirst(parts) {
			if records[i].Digest == (v1.Hash{}) {
				var err error
				if records[i], err = m.packPart(ctx, snapshot, parts[i], o); err != nil {
					return err
				}
			}
			records[i].Distributions = parts[i].Names
		}
		return nil
	})
	return records, group.Wait()
}

// findParts sets the records of parts whose layers were made before.
func (m *maker) findParts(ctx context.Context, snapshot string, parts []*split.Part, o LayerOptions, records []layerRecord) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range parts {
		if _, known := m.records.recall(o.partKind(), partKey(p.Names)); known {
			group.Go(func() (err error) {
				records[i], err = m.findPart(ctx, snapshot, p, o)
				return err
			})
		}
	}
	return group.Wait()
}

// largestFirst returns the indices of parts in the order in which they are packed: what is still to be sent when the last
// one is ready is small.
func largestFirst(parts []*split.Part) []int {
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(parts[j].Size, parts[i].Size) })
	return order
}

// partKind names the records of parts: that one of such distributions was made (under partKey), and the layer that it
// became (under the digest of its tar).
func (o LayerOptions) partKind() string { return fmt.Sprintf("part-%s-%d", o.Name(), o.Level) }

// partKey names a part by its distributions.
func partKey(names []string) Key { return sha256.Sum256([]byte(strings.Join(names, "\x00"))) }

// findPart returns the layer of a part if there is one already; else an empty record.
func (m *maker) findPart(ctx context.Context, snapshot string, p *split.Part, o LayerOptions) (r layerRecord, err error) {
	sum := sha256.New()
	if err := rootfs.WriteFiles(ctx, sum, snapshot, p.Files, o.Epoch); err != nil {
		return r, err
	}
	data, ok := m.records.recall(o.partKind(), Key(sum.Sum(nil)))
	if !ok || json.Unmarshal(data, &r) != nil || r.DiffID.Hex != hex.EncodeToString(sum.Sum(nil)) {
		return layerRecord{}, nil
	}
	if !m.here(r) {
		return layerRecord{}, nil
	}
	return r, nil
}

func (m *maker) packPart(ctx context.Context, snapshot string, p *split.Part, o LayerOptions) (r layerRecord, err error) {
	how := packing{o.Compression, o.sendFrom(sendWhole), o.blocks, o.Report}
	r, err = m.pack(ctx, how, func(w io.Writer) error { return rootfs.WriteFiles(ctx, w, snapshot, p.Files, o.Epoch) })
	if err != nil {
		return r, err
	}
	var k Key
	if err := k.UnmarshalText([]byte(r.DiffID.Hex)); err != nil {
		return r, err
	}
	if err := m.remember(o.partKind(), k, r); err != nil {
		return r, err
	}
	return r, m.records.remember(o.partKind(), partKey(p.Names), nil)
}
