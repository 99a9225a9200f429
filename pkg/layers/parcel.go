// Snapshots whose files are not here and are not to be: what is asked of them is read out of their layers, wherever those are. A
// layer is read from front to back once for its index, and once more for all files that are wanted of it by then.

package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Parcels are the snapshots that somebody reads in this way. Files that were read lie in a directory until Close.
type Parcels struct {
	// Expected says which files of a snapshot will be read, as far as that is known before: they are kept when the index is made.
	// It may be nil.
	Expected func(p *Parcel, name string) bool
	// Reading is told that a layer is fetched from elsewhere; it returns who is told of the bytes, and of the end. It may be nil.
	Reading func(l v1.Layer) (report func(done, total int64), end func(error))

	store  *Store
	outer  context.Context // the context of whoever reads files
	spool  rootfs.Spool
	remove func() error

	mu    sync.Mutex
	known map[Key]*Parcel
}

// Parcels begins to read layers for somebody who ends with ctx.
func (s *Store) Parcels(ctx context.Context) *Parcels {
	p := &Parcels{store: s, outer: ctx, known: map[Key]*Parcel{}}
	p.spool.Dir = sync.OnceValues(func() (dir string, err error) {
		dir, p.remove, err = s.TempDir(ctx)
		return dir, err
	})
	return p
}

// Close removes what was read.
func (p *Parcels) Close() error {
	err := p.spool.Close()
	if p.remove == nil {
		return err
	}
	return errors.Join(err, p.remove())
}

// Of returns the snapshot that has these layers, the lowest first.
func (p *Parcels) Of(all []v1.Layer) (*Parcel, error) {
	name, err := indexName(all, Key{})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[name] == nil {
		p.known[name] = &Parcel{all: p, layers: all, name: name, wanted: map[string]bool{}, here: map[string]opener{}}
	}
	return p.known[name], nil
}

// Spool is where files can be kept until Close.
func (p *Parcels) Spool() *rootfs.Spool { return &p.spool }

// View shows the files of layers, the lowest first, of which all will be read.
func (p *Parcels) View(ctx context.Context, all []v1.Layer) (*rootfs.View, error) {
	var indexes []rootfs.Index // the uppermost first
	for _, l := range all {
		one, err := p.Of([]v1.Layer{l})
		if err != nil {
			return nil, err
		}
		x, err := one.Index(ctx, func() (*rootfs.View, error) { return rootfs.IndexView(indexes...), nil })
		if err != nil {
			return nil, err
		}
		indexes = append([]rootfs.Index{x}, indexes...)
	}
	v := rootfs.IndexView(indexes...)
	return v, v.Walk("/", func(e *rootfs.Entry) error { e.Want(); return nil })
}

// Squash is Store.Squash of layers over base, the lowest first, which lower shows.
func (p *Parcels) Squash(ctx context.Context, k, base Key, all []v1.Layer, lower *rootfs.View, o LayerOptions) (v1.Layer, error) {
	s, name, kind := p.store, squashKey(k, base), o.wayKind()+"-squash"
	parcel, err := p.Of(all)
	if err != nil {
		return nil, err
	}
	tree, err := parcel.read(ctx, p.spool.Keep, func() (*rootfs.View, error) { return lower, nil })
	if err != nil {
		return nil, fmt.Errorf("squashing %s: %w", k, err)
	}
	r, err := s.maker.pack(ctx, packing{Compression: o.Compression, from: sendFrom, report: o.Report}, func(w io.Writer) error {
		return rootfs.WriteLayer(ctx, w, rootfs.DiffOptions{Lower: lower, Epoch: o.Epoch}, tree.WriteTo)
	})
	if err == nil {
		err = s.maker.remember(kind, name, r)
	}
	if err != nil {
		return nil, fmt.Errorf("squashing %s: %w", k, s.disk.explain(err))
	}
	return &storedLayer{blobs: s.blobs, record: r}, nil
}

// Parcel is a snapshot that is read out of its layers. It is the Contents of its index.
type Parcel struct {
	all    *Parcels
	layers []v1.Layer
	name   Key

	mu     sync.Mutex
	index  rootfs.Index
	groups map[string][]string // see Index.Groups; nil: it was not looked
	wanted map[string]bool
	here   map[string]opener
}

// opener opens a file that was read.
type opener interface{ Open() (*os.File, error) }

// Layers are the layers of the snapshot, the lowest first.
func (p *Parcel) Layers() []v1.Layer { return p.layers }

// openIndex reads an index, by which files can be asked for.
func (p *Parcel) openIndex(data []byte) (rootfs.Index, error) {
	x, err := rootfs.OpenIndex(data, p)
	if err == nil {
		p.mu.Lock()
		p.index, p.groups = x, nil
		p.mu.Unlock()
	}
	return x, err
}

// Index returns the index of the snapshot, with digests of all files: one that was kept, or a new one. lower returns what lies
// below, which few layers need.
func (p *Parcel) Index(ctx context.Context, lower func() (*rootfs.View, error)) (rootfs.Index, error) {
	if data, ok := p.all.store.records.recall(filesKind, p.name); ok {
		if x, err := p.openIndex(data); err == nil && x.Summed() {
			return x, nil
		}
	}
	data, err := p.makeIndex(ctx, lower)
	if err != nil {
		return rootfs.Index{}, err
	}
	return p.openIndex(data)
}

// makeIndex makes and remembers the index.
func (p *Parcel) makeIndex(ctx context.Context, lower func() (*rootfs.View, error)) ([]byte, error) {
	expected := func(name string) bool { return p.all.Expected != nil && p.all.Expected(p, name) }
	tree, err := p.read(ctx, p.all.spool.Summing(expected), lower)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	tree.Kept(func(name string, f interface{ Open() (*os.File, error) }) { p.here[name] = f })
	p.mu.Unlock()
	data, err := tree.Index()
	if err != nil {
		return nil, fmt.Errorf("making an index: %w", err)
	}
	return data, p.all.store.records.remember(filesKind, p.name, data)
}

// Want implements rootfs.Contents.
func (p *Parcel) Want(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted[name] = true
}

// Open implements rootfs.Contents.
func (p *Parcel) Open(name string) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.here[name] == nil {
		p.wanted[name] = true
		if err := p.fetch(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if f := p.here[name]; f != nil {
		return f.Open()
	}
	return nil, fmt.Errorf("reading %s: %w", name, rootfs.ErrNoContent)
}

// fetch reads what is wanted and not here. Of a file with several names the layer has the bytes under one of them.
func (p *Parcel) fetch() error {
	if p.groups == nil {
		p.groups = p.index.Groups()
	}
	missing := map[string]bool{}
	for name := range p.wanted {
		if p.here[name] != nil {
			continue
		}
		missing[name] = true
		for _, other := range p.groups[name] {
			missing[other] = true
		}
	}
	keep := p.all.spool.Only(func(name string) bool { return missing[name] })
	tree, err := p.read(p.all.outer, keep, func() (*rootfs.View, error) { return nil, nil })
	if err != nil {
		return err
	}
	tree.Kept(func(name string, f interface{ Open() (*os.File, error) }) { p.here[name] = f })
	return nil
}

// read describes what the layers have, and has files kept. A blob of ours that turns out to be corrupt is read again from where it
// came from, once.
func (p *Parcel) read(ctx context.Context, keep rootfs.Keep, lower func() (*rootfs.View, error)) (*rootfs.Memory, error) {
	tree, err := p.attempt(ctx, keep, lower)
	if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
		tree, err = p.attempt(ctx, keep, lower)
	}
	return tree, err
}

func (p *Parcel) attempt(ctx context.Context, keep rootfs.Keep, lower func() (*rootfs.View, error)) (*rootfs.Memory, error) {
	var total int64
	for _, l := range p.layers {
		size, err := l.Size()
		if err != nil {
			return nil, err
		}
		total += size
	}
	d := rootfs.NewDescriber(mostUnpackedOf(total), keep)
	for _, l := range p.layers {
		if err := p.layer(ctx, l, d); err != nil {
			return nil, p.all.store.disk.explain(err)
		}
	}
	if !d.NeedsLower() {
		return d.Finish(nil)
	}
	below, err := lower()
	if err != nil {
		return nil, err
	}
	return d.Finish(below)
}

// layer describes one layer, and checks that it is the one of the image.
func (p *Parcel) layer(ctx context.Context, l v1.Layer, d *rootfs.Describer) (err error) {
	want, err := partial.Descriptor(l)
	if err != nil {
		return err
	}
	diffID, err := l.DiffID()
	if err != nil {
		return err
	}
	in, size, err := p.all.store.blobs.open(want.Digest)
	report := func(int64, int64) {}
	if err != nil || size != want.Size {
		if err == nil {
			in.Close()
		}
		if p.all.Reading != nil {
			var end func(error)
			report, end = p.all.Reading(l)
			defer func() { end(err) }()
		}
		if in, err = l.Compressed(); err != nil {
			return err
		}
	}
	defer in.Close()
	defer context.AfterFunc(ctx, func() { in.Close() })()
	z, err := codec.Decompress(&counted{in, 0, func(n int64) { report(n, want.Size) }})
	if err != nil {
		return err
	}
	defer z.Close()
	found, err := d.Layer(ctx, z)
	if err != nil {
		return fmt.Errorf("layer %s: %w", want.Digest, err)
	}
	if found != diffID {
		return &CorruptError{What: "layer " + want.Digest.String(), Err: fmt.Errorf("it unpacks to %s, the image says %s", found, diffID)}
	}
	return nil
}

// counted reports how much was read.
type counted struct {
	io.Reader
	n      int64
	report func(int64)
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.report(c.n)
	return n, err
}
