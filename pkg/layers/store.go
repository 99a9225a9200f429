// This file owns Store, which other packages call: it makes the parts, opens and closes the whole, and hands a call on to the one
// part that answers it. What one part can do alone belongs into the file of that part.

package layers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/lease"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// Store is a state directory. Many processes may have it open at once. Its methods may be called concurrently.
type Store struct {
	Hooks

	disk      disk
	lease     *lease.Lease
	sync      *syncer
	blobs     *blobs
	records   records
	snapshots *snapshots
	maker     *maker
	images    *images
	aheads    aheads
	beside    sync.WaitGroup // the removal of what is left of drafts
	trees     forest
	canHold   func() error                    // says why no snapshot can be made; it looks once
	way       func() (snapshotter.Way, error) // says how drafts are shown; it looks once
}

// Open opens the store in dir, and makes it if it is not there. It refuses a directory that others can write to, and one of a
// newer gbuild; such errors have a Hint. A filesystem that cannot hold snapshots is refused by what makes the first one.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	d := disk(dir)
	if err := d.create(); err != nil {
		return nil, err
	}
	s := over(d)
	s.reap()
	return s, nil
}

// over makes the parts of a store.
func over(d disk) *Store {
	s := &Store{disk: d, canHold: sync.OnceValue(d.canHold), lease: lease.New(d.path("leases"), d.path("gc.lock")), sync: &syncer{disk: d}, records: records{d}}
	s.blobs = &blobs{disk: d, lease: s.lease, sync: s.sync, hooks: &s.Hooks}
	s.snapshots = &snapshots{disk: d, lease: s.lease, sync: s.sync, blobs: s.blobs, known: map[Key]meta{}, lent: map[Key]*lent{}, roots: map[Key]int{}}
	s.trees = &trees{disk: d, snapshots: s.snapshots}
	s.maker = &maker{blobs: s.blobs, records: s.records}
	s.way = sync.OnceValues(s.findWay)
	s.images = &images{disk: d, blobs: s.blobs, records: s.records, sync: s.sync, hooks: &s.Hooks}
	return s
}

// reap removes what dead processes left. What cannot be removed from here (files of other ids, where this process has one only)
// stays for the next process that can.
func (s *Store) reap() {
	s.sync.forget()
	dirs := []string{s.disk.path("ingest")}
	for _, k := range within() {
		dirs = append(dirs, s.disk.of(k, "drafts"))
	}
	for _, dir := range dirs {
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if !f.IsDir() {
				s.disk.reapOne(filepath.Join(dir, f.Name()))
			}
		}
	}
	s.lease.Reap()
	go s.disk.emptyTrash()
}

// Close brings what was committed to the disk, and gives back the lease.
func (s *Store) Close() error {
	s.aheads.drop()
	s.beside.Wait()
	return errors.Join(s.trees.close(), s.sync.end(), s.lease.Close())
}

// Dir returns the state directory.
func (s *Store) Dir() string { return string(s.disk) }

// TempDir makes a private directory, and the function that removes it. After a crash a later Open removes it.
func (s *Store) TempDir(ctx context.Context) (dir string, remove func() error, err error) {
	dir = s.disk.path("ingest", rand.Text())
	held, err := durable.Lock(ctx, dir+".lock", durable.Exclusive)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	return dir, func() error {
		defer held.Close()
		return errors.Join(os.RemoveAll(dir), os.Remove(dir+".lock"))
	}, nil
}

// Has says whether the snapshot of k and all that it stands on are committed. It keeps them from being pruned until the
// store is closed. Scratch is always there.
func (s *Store) Has(k Key) bool { return s.snapshots.has(k) }

// View returns the merged files of the state k, which must not be packed (see Expand).
func (s *Store) View(k Key) (*rootfs.View, error) { return s.snapshots.view(k) }

// Changed returns the files that the state k has of its own, without those of what it stands on.
func (s *Store) Changed(k Key) (*rootfs.View, error) { return s.snapshots.changed(k) }

// Unpacked says whether all files of the state k are there, so that View shows them: Expand would do nothing.
func (s *Store) Unpacked(k Key) bool {
	_, err := s.snapshots.levels(k)
	return err == nil
}

// Recall returns what was remembered of the kind under k.
func (s *Store) Recall(kind string, k Key) ([]byte, bool) { return s.records.recall(kind, k) }

// Remember keeps a small value of the kind under k, in the place of an earlier one.
func (s *Store) Remember(kind string, k Key, v []byte) error { return s.records.remember(kind, k, v) }

// PutBlob stores the bytes of r under their SHA-256. If want is not zero, they must have that digest. The media type of
// the descriptor is left empty.
func (s *Store) PutBlob(ctx context.Context, r io.Reader, want v1.Hash) (v1.Descriptor, error) {
	return s.blobs.put(ctx, r, want)
}

// Blob opens a blob and returns its size. The reader fails at the end if the bytes are not those of the digest; the blob
// is dropped then, so that it will be made or fetched again.
func (s *Store) Blob(h v1.Hash) (io.ReadCloser, int64, error) { return s.blobs.open(h) }

// Near returns l, read from the store from the time on when its bytes are there.
func (s *Store) Near(l v1.Layer) v1.Layer { return &nearLayer{l, s.blobs} }

// Recompress returns the layer with the same tar and the algorithm of c: l itself if it has that one, or is one that must
// not be distributed. It is made once. report is as in LayerOptions.
func (s *Store) Recompress(ctx context.Context, l v1.Layer, c codec.Compression, report func(bytes int)) (v1.Layer, error) {
	return s.maker.recompressed(ctx, l, c, report)
}

// Tag gives an image a local name, in the place of the image that had it before. Manifest, config and the layers that
// have no source elsewhere become blobs first, and are on the disk when the name is there.
func (s *Store) Tag(name string, img v1.Image) error { return s.images.tag(name, img) }

// Untag removes a local name. The image stays until it is pruned.
func (s *Store) Untag(name string) error { return s.images.untag(name) }

// Image returns a local image by its name, or by the first digits (four or more) of its id or digest.
func (s *Store) Image(name string) (v1.Image, error) { return s.images.find(name) }

// Images lists the local images, sorted by name. One that cannot be read is left out.
func (s *Store) Images() ([]ImageInfo, error) { return s.images.list() }

// KeepBase remembers an image of a registry under a name, so that Base finds it again without the registry.
func (s *Store) KeepBase(name string, img v1.Image) error { return s.images.keepBase(name, img) }

// Base returns the image that KeepBase remembered. The error is a *NotFoundError where there is none.
func (s *Store) Base(name string) (v1.Image, error) { return s.images.base(name) }

// Prune removes snapshots and blobs that nothing needs, and that were not used for so long. What a local image or a running process
// needs is never removed. It must run where the files of the store's other ids can be removed, as Draft must.
func (s *Store) Prune(ctx context.Context, unused time.Duration, needed ...Key) (PruneReport, error) {
	p := &pruning{needed: needed, disk: s.disk, lease: s.lease, images: s.images, snapshots: s.snapshots, unused: unused, objects: map[lease.Entry]*object{}, now: time.Now()}
	if err := p.run(ctx); err != nil {
		return p.report, fmt.Errorf("pruning the store: %w", err)
	}
	return p.report, nil
}
