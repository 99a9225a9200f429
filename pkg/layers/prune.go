// Pruning: mark what is needed, then sweep the rest. What takes long (sizes) comes before the lock, and what nobody waits for
// (removing files, old records) comes after the sweep.

package layers

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/pkg/layers/lease"
)

// PruneReport says what Prune removed, and what is left. Sizes are of disk blocks.
type PruneReport struct {
	Snapshots, Blobs int
	Freed, Kept      int64
}

// object is a snapshot or a blob on its way through a prune.
type object struct {
	entry  lease.Entry
	path   string
	size   int64
	key    string      // of a snapshot, "" for a blob
	parent lease.Entry // a snapshot's parent, "" for none
	layer  lease.Entry // the blob that a snapshot has its files in, "" for none
	beyond bool        // this process cannot remove its files
	kept   bool
}

// pruning is one call of Prune.
type pruning struct {
	disk      disk
	lease     *lease.Lease
	images    *images
	snapshots *snapshots
	unused    time.Duration // objects that were used within this time stay
	needed    []Key         // states that stay, for who uses them without a process
	objects   map[lease.Entry]*object
	now       time.Time
	report    PruneReport
}

func (p *pruning) run(ctx context.Context) error {
	if err := p.collect(ctx); err != nil { // sizes take long: before anybody has to wait
		return err
	}
	done, err := p.lease.Alone(ctx)
	if err != nil {
		return err
	}
	err = p.mark()
	if err == nil {
		err = p.sweep()
	}
	done()
	if err != nil {
		return err
	}
	p.dropRecords()
	p.disk.emptyTrash()
	return ctx.Err()
}

// collect lists all snapshots and blobs, with their sizes.
func (p *pruning) collect(ctx context.Context) error {
	for _, is := range kinds {
		p.collectSnapshots(ctx, is)
	}
	found, err := os.ReadDir(p.disk.path("blobs", "sha256"))
	if err != nil {
		return err
	}
	for _, d := range found {
		if info, err := d.Info(); err == nil {
			o := &object{entry: blobEntry(d.Name()), path: p.disk.path("blobs", "sha256", d.Name()), size: info.Size()}
			p.objects[o.entry] = o
		}
	}
	return ctx.Err()
}

// collectSnapshots lists the snapshots of a kind. Those that this process cannot remove stay, and so do their layers.
func (p *pruning) collectSnapshots(ctx context.Context, is kind) {
	found, _ := os.ReadDir(p.disk.of(is, "snapshots")) // there may be none of that kind
	for _, d := range found {
		var k Key
		if k.UnmarshalText([]byte(d.Name())) != nil || ctx.Err() != nil {
			continue
		}
		path := p.disk.of(is, "snapshots", d.Name())
		o := &object{entry: is.entry(k), path: path, key: d.Name(), size: diskUsage(path), beyond: !slices.Contains(within(), is)}
		if m, err := readMeta(path); err == nil {
			o.parent = is.entry(m.Parent)
			if _, err := os.Lstat(path + "/fs"); m.Packed != nil && err != nil {
				o.layer = blobEntry(m.Packed.Digest.Hex)
			}
		}
		p.objects[o.entry] = o
	}
}

// diskUsage returns the bytes of the blocks that a directory takes.
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
	for _, k := range p.needed {
		p.keepState(k)
	}
	p.lease.Each(func(entries []lease.Entry) {
		for _, e := range entries {
			p.keep(e)
		}
	})
	for _, o := range p.objects {
		path := o.path
		if o.key != "" {
			path += "/meta.json"
		}
		if info, err := os.Lstat(path); o.beyond || err == nil && p.now.Sub(info.ModTime()) < p.unused {
			p.keep(o.entry)
		}
	}
	return nil
}

// keepState keeps the snapshots of a state, of all kinds.
func (p *pruning) keepState(k Key) {
	for _, is := range kinds {
		p.keep(is.entry(k))
	}
}

// keep marks an object, what a snapshot stands on, and the layer that has its files.
func (p *pruning) keep(e lease.Entry) {
	for o := p.objects[e]; o != nil && !o.kept; o = p.objects[o.parent] {
		o.kept = true
		if layer := p.objects[o.layer]; layer != nil {
			layer.kept = true
		}
	}
}

// markImages keeps the blobs of local images, and the snapshots that are known to be their layers.
func (p *pruning) markImages() error {
	records, err := p.images.all()
	if err != nil {
		return err
	}
	layers := map[string]bool{}
	for _, r := range records {
		p.keep(blobEntry(r.Digest.Hex))
		img, err := openImage(p.images.blobs, r, p.images.blobs.peekAll)
		if err != nil {
			continue
		}
		p.keep(blobEntry(img.manifest.Config.Digest.Hex))
		var chain Key
		for n, l := range img.manifest.Layers {
			p.keep(blobEntry(l.Digest.Hex))
			layers[l.Digest.Hex] = true
			chain = ChainKey(chain, img.config.RootFS.DiffIDs[n])
			p.keepState(chain)
		}
	}
	p.eachLayer(func(_ string, k Key, made []layerRecord) {
		if len(made) > 0 && !slices.ContainsFunc(made, func(r layerRecord) bool { return !layers[r.Digest.Hex] }) {
			p.keepState(k)
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
			_, err := os.Lstat(p.disk.path("blobs", "sha256", r.Digest.Hex))
			return err != nil
		})
		if kind != baseKind && gone && !p.stays(k) {
			os.Remove(p.disk.record(kind, k))
		}
	})
	indexes, _ := os.ReadDir(p.disk.path("records", filesKind))
	for _, d := range indexes {
		if info, err := d.Info(); err == nil && p.now.Sub(info.ModTime()) > indexLife {
			os.Remove(p.disk.path("records", filesKind, d.Name()))
		}
	}
}

// stays says whether a snapshot of k is there after the sweep, of whichever kind.
func (p *pruning) stays(k Key) bool {
	for _, is := range kinds {
		if _, err := os.Lstat(p.disk.of(is, "snapshots", k.String(), "meta.json")); err == nil {
			return true
		}
	}
	return false
}

// eachLayer calls fn for every record of the layer, or the layers, of a snapshot.
func (p *pruning) eachLayer(fn func(kind string, k Key, made []layerRecord)) {
	kinds, _ := os.ReadDir(p.disk.path("records"))
	for _, kind := range kinds {
		if !strings.HasPrefix(kind.Name(), baseKind) {
			continue
		}
		keys, _ := os.ReadDir(p.disk.path("records", kind.Name()))
		for _, name := range keys {
			var k Key
			if k.UnmarshalText([]byte(name.Name())) != nil {
				continue
			}
			if data, ok := p.images.records.recall(kind.Name(), k); ok {
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
		if err := p.disk.discard(o.path); err != nil {
			return err
		}
		p.report.Freed += o.size
		if o.key != "" {
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
	for _, o := range p.objects {
		var k Key
		if o.kept || o.key == "" || k.UnmarshalText([]byte(o.key)) != nil {
			continue
		}
		os.Remove(p.snapshots.sync.markOf(o.path))
		if p.stays(k) {
			continue
		}
		records, _ := filepath.Glob(p.disk.path("records") + "/*/" + o.key)
		for _, path := range records {
			os.Remove(path)
		}
	}
	p.dropUseless()
	locks, _ := os.ReadDir(p.disk.path("locks"))
	for _, l := range locks {
		p.disk.reapOne(p.disk.path("locks", l.Name()))
	}
}
