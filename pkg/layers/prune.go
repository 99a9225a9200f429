package layers

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
)

// PruneOptions says what Prune removes. What a local image or a running process needs is never removed.
type PruneOptions struct {
	OlderThan time.Duration // spare what was used since; 0 spares nothing
	KeepBytes int64         // stop when so much or less is left, the least recently used goes first
	All       bool          // also the unpacked files of local images; their blobs stay
	DryRun    bool          // only report
}

// PruneReport says what Prune removed, and what is left. Sizes are of disk blocks.
type PruneReport struct {
	Snapshots, Blobs int
	Freed, Kept      int64
}

// object is a snapshot or a blob on its way through a prune.
type object struct {
	entry  string // as in a lease
	path   string
	size   int64
	used   time.Time
	parent string // entry of a snapshot's parent, "" for none
	layer  string // entry of the blob that a snapshot has its files in, "" for none
	kept   bool
}

// Prune removes snapshots and blobs that nothing needs: mark, then sweep. It must run where the files of the store's
// other ids can be removed, as Draft must.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (PruneReport, error) {
	p := &pruning{store: s, options: o, objects: map[string]*object{}, now: time.Now()}
	if err := p.run(ctx); err != nil {
		return p.report, fmt.Errorf("pruning the store: %w", err)
	}
	return p.report, nil
}

type pruning struct {
	store   *Store
	options PruneOptions
	objects map[string]*object
	now     time.Time
	report  PruneReport
}

func (p *pruning) run(ctx context.Context) error {
	if err := p.collect(ctx); err != nil { // sizes take long: before anybody has to wait
		return err
	}
	gc, err := durable.Lock(ctx, p.store.path("gc.lock"), durable.Exclusive)
	if err != nil {
		return err
	}
	err = p.mark()
	if err == nil {
		err = p.sweep()
	}
	gc.Close()
	if err != nil || p.options.DryRun {
		return err
	}
	p.dropRecords()
	p.store.emptyTrash()
	return ctx.Err()
}

func (p *pruning) collect(ctx context.Context) error {
	snapshots, err := os.ReadDir(p.store.path("snapshots"))
	if err != nil {
		return err
	}
	for _, d := range snapshots {
		var k Key
		if k.UnmarshalText([]byte(d.Name())) != nil || ctx.Err() != nil {
			continue
		}
		o := &object{entry: "k " + d.Name(), path: p.store.snapshot(k), size: diskUsage(p.store.snapshot(k))}
		if m, err := p.store.readMeta(k); err == nil {
			o.parent = "k " + m.Parent.String()
			if m.Packed != nil && !p.store.hasFiles(k) {
				o.layer = "b " + m.Packed.Digest.Hex
			}
		}
		p.objects[o.entry] = o
	}
	blobs, err := os.ReadDir(p.store.path("blobs", "sha256"))
	if err != nil {
		return err
	}
	for _, d := range blobs {
		if info, err := d.Info(); err == nil {
			p.objects["b "+d.Name()] = &object{entry: "b " + d.Name(), path: p.store.path("blobs", "sha256", d.Name()), size: info.Size()}
		}
	}
	return ctx.Err()
}

func diskUsage(root string) (size int64) {
	filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				size += st.Blocks * 512
			}
		}
		return nil
	})
	return size
}

// mark keeps what is needed, and what stands below it. It runs while no process can begin to use an object.
func (p *pruning) mark() error {
	if err := p.markImages(); err != nil {
		return err
	}
	p.store.lease.each(func(_ string, entries []string) {
		for _, e := range entries {
			p.keep(e)
		}
	})
	left := p.candidates()
	total := int64(0)
	for _, o := range left {
		total += o.size
	}
	for _, o := range left {
		if p.now.Sub(o.used) < p.options.OlderThan || p.options.KeepBytes > 0 && total <= p.options.KeepBytes {
			p.keep(o.entry)
		} else {
			total -= o.size
		}
	}
	return nil
}

// candidates returns what is not needed, the least recently used first.
func (p *pruning) candidates() []*object {
	var left []*object
	for _, o := range p.objects {
		path := o.path
		if o.entry[0] == 'k' {
			path += "/meta.json"
		}
		if info, err := os.Lstat(path); err == nil {
			o.used = info.ModTime()
		}
		if !o.kept {
			left = append(left, o)
		}
	}
	sort.Slice(left, func(i, j int) bool {
		if !left[i].used.Equal(left[j].used) {
			return left[i].used.Before(left[j].used)
		}
		return left[i].entry < left[j].entry
	})
	return left
}

func (p *pruning) keep(entry string) {
	for o := p.objects[entry]; o != nil && !o.kept; o = p.objects[o.parent] {
		o.kept = true
		if layer := p.objects[o.layer]; layer != nil {
			layer.kept = true
		}
	}
}

// markImages keeps the blobs of local images, and the snapshots that are known to be their layers.
func (p *pruning) markImages() error {
	records, err := p.store.names()
	if err != nil {
		return err
	}
	layers := map[string]bool{}
	for _, r := range records {
		p.keep("b " + r.Digest.Hex)
		img, err := p.store.openWith(r, p.store.peekBlob)
		if err != nil {
			continue
		}
		p.keep("b " + img.manifest.Config.Digest.Hex)
		var chain Key
		for n, l := range img.manifest.Layers {
			p.keep("b " + l.Digest.Hex)
			layers[l.Digest.Hex] = true
			chain = ChainKey(chain, img.config.RootFS.DiffIDs[n])
			if !p.options.All {
				p.keep("k " + chain.String())
			}
		}
	}
	if p.options.All {
		return nil
	}
	p.eachLayer(func(_ string, k Key, made []layerRecord) {
		if len(made) > 0 && !slices.ContainsFunc(made, func(r layerRecord) bool { return !layers[r.Digest.Hex] }) {
			p.keep("k " + k.String())
		}
	})
	return nil
}

// indexLife is how long indexes stay: they can be had again.
const indexLife = 30 * 24 * time.Hour

// dropUseless removes records of layers that are gone, of states that have no snapshot, and old indexes.
func (p *pruning) dropUseless() {
	p.eachLayer(func(kind string, k Key, made []layerRecord) {
		gone := slices.ContainsFunc(made, func(r layerRecord) bool {
			_, err := os.Lstat(p.store.path("blobs", "sha256", r.Digest.Hex))
			return err != nil
		})
		if _, err := p.store.readMeta(k); kind != baseKind && gone && err != nil {
			os.Remove(p.store.recordPath(kind, k))
		}
	})
	indexes, _ := os.ReadDir(p.store.path("records", filesKind))
	for _, d := range indexes {
		if info, err := d.Info(); err == nil && p.now.Sub(info.ModTime()) > indexLife {
			os.Remove(p.store.path("records", filesKind, d.Name()))
		}
	}
}

// eachLayer calls fn for every record of the layer, or the layers, of a snapshot.
func (p *pruning) eachLayer(fn func(kind string, k Key, made []layerRecord)) {
	kinds, _ := os.ReadDir(p.store.path("records"))
	for _, kind := range kinds {
		if !strings.HasPrefix(kind.Name(), baseKind) {
			continue
		}
		keys, _ := os.ReadDir(p.store.path("records", kind.Name()))
		for _, name := range keys {
			var k Key
			if k.UnmarshalText([]byte(name.Name())) != nil {
				continue
			}
			if data, ok := p.store.Recall(kind.Name(), k); ok {
				fn(kind.Name(), k, readLayers(data))
			}
		}
	}
}

// sweep takes what is not kept out of use. Nothing stands on a snapshot that is swept but what is swept, too.
func (p *pruning) sweep() error {
	for _, o := range p.objects {
		if o.kept {
			p.report.Kept += o.size
			continue
		}
		if !p.options.DryRun {
			if err := p.store.discard(o.path); err != nil {
				return err
			}
		}
		p.report.Freed += o.size
		if o.entry[0] == 'k' {
			p.report.Snapshots++
		} else {
			p.report.Blobs++
		}
	}
	return nil
}

// dropRecords removes the records and marks of states that are gone, and locks that nobody holds. Other records may be
// under keys that are no snapshots at all; they stay.
func (p *pruning) dropRecords() {
	for entry, o := range p.objects {
		if o.kept || entry[0] != 'k' {
			continue
		}
		name := strings.TrimPrefix(entry, "k ")
		records, _ := filepath.Glob(p.store.path("records") + "/*/" + name)
		for _, path := range append(records, p.store.path("unsynced", name)) {
			os.Remove(path)
		}
	}
	p.dropUseless()
	locks, _ := os.ReadDir(p.store.path("locks"))
	for _, l := range locks {
		p.store.reapOne(p.store.path("locks", l.Name()))
	}
}
