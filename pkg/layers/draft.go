// Drafts: snapshots that are still written. A draft is a directory below drafts/ with a lock beside it; whoever finds the lock
// free may remove both, since the process that made them is dead.

package layers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// Draft is a writable snapshot over a parent. It ends with Commit or Discard; until then its directory belongs to the
// caller, who may write into Dir as into the upper directory of an overlay mount, or Mount it.
type Draft struct {
	store  *Store
	parent Key
	dir    string // drafts/<random>
	kept   string // where the upper directory is that stays when the draft is over; "": it is in dir
	held   *os.File
	lower  *rootfs.View
	began  time.Time
	shown  *shown       // nil: it is not mounted
	tree   *tree        // nil: it is not shown in a copy
	ahead  *split.Ahead // nil: nothing is compressed ahead
}

// Draft makes a draft over the state parent.
func (s *Store) Draft(ctx context.Context, parent Key) (*Draft, error) {
	if err := s.canHold(); err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	if err := s.Expand(ctx, parent); err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	lower, err := s.View(parent)
	if err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	d := &Draft{store: s, parent: parent, lower: lower, began: time.Now(), dir: s.disk.own("drafts", rand.Text())}
	if d.held, err = durable.Lock(ctx, d.dir+".lock", durable.Exclusive); err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	if err := d.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a draft: %w", err), d.Discard())
	}
	return d, nil
}

// make makes the directories of a draft. The root directory has the metadata that it has below.
func (d *Draft) make() error {
	if err := os.MkdirAll(d.dir+"/snap", 0o700); err != nil {
		return err
	}
	root, err := d.lower.Lstat("/")
	if err != nil {
		return err
	}
	return rootfs.CopyDir(root, d.Dir())
}

// Dir returns the upper directory: what the draft changes.
func (d *Draft) Dir() string { return cmp.Or(d.kept, d.dir+"/snap/fs") }

// KeepIn lets the draft write into a directory that stays when the draft is over. If it is there already, with what an earlier draft
// over the same parent has written, this one goes on from that. It is called before anything is written, and the draft ends
// with Discard.
func (d *Draft) KeepIn(dir string) error {
	if err := os.Rename(d.Dir(), dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("keeping the files of a draft: %w", err)
	}
	d.kept = dir
	return nil
}

// Private returns a directory beside the draft's files, for what is to end with the draft.
func (d *Draft) Private() string { return d.dir }

// Lower returns the files of the parent.
func (d *Draft) Lower() *rootfs.View { return d.lower }

// View returns the files of the parent with the changes of the draft, as they are at the moment of each call.
func (d *Draft) View() *rootfs.View { return d.Upper().View() }

// CopyUp makes the directories of name in the upper directory, as Upper.CopyUp does.
func (d *Draft) CopyUp(name string) error { return d.Upper().CopyUp(name) }

// Upper returns where the changes of the draft go.
func (d *Draft) Upper() rootfs.Upper { return rootfs.Upper{Dir: d.Dir(), Lower: d.lower} }

// Settle gives what is installed in the draft times that do not tell when that was (see split.Settle). The draft must not be
// mounted.
func (d *Draft) Settle() error { return split.Settle(d.Upper()) }

// Commit makes the draft the snapshot of the state k. If k is there already, that one stays: the same key is the same
// state. The draft is over when Commit returns, with an error or without.
func (d *Draft) Commit(ctx context.Context, k Key) error {
	if d.held == nil {
		return errors.New("committing a draft: it is over")
	}
	err := ctx.Err()
	if err == nil {
		err = d.Unmount()
	}
	if err == nil {
		err = d.commit(k)
	}
	if err == nil {
		d.keepAhead(k)
	}
	if err == nil && time.Since(d.began) > syncDelay {
		d.store.sync.now() // what took so long is much to write, and its layers are not made yet
	}
	if err != nil {
		return errors.Join(err, d.Discard())
	}
	rest := *d
	d.held = nil
	d.store.beside.Go(func() { _ = rest.Discard() }) // a draft that cannot be removed is reaped, as after a crash
	return nil
}

// commit gives the files their name, and keeps the tree that they were changed in.
func (d *Draft) commit(k Key) error {
	made, err := os.Lstat(d.Dir())
	if err != nil {
		return err
	}
	if err := d.store.snapshots.commit(d.dir+"/snap", k, d.parent); err != nil || d.tree == nil {
		return err
	}
	return d.keepTree(k, made)
}

// Layers makes the layers of what the draft changes, under the name of the state k, and ends the draft: its files are not
// kept. Store.Layers of k finds them, though there is no snapshot of k: what it stands on need not be here.
func (d *Draft) Layers(ctx context.Context, k Key, o LayerOptions) error {
	if d.held == nil {
		return errors.New("making the layers of a draft: it is over")
	}
	held, err := d.store.disk.lock(ctx, k.String()+".layer")
	if err == nil {
		defer held.Close()
		err = d.Unmount()
	}
	if err == nil && !d.store.HasLayers(k, o) {
		err = d.makeLayers(ctx, k, o)
	}
	if err != nil {
		err = fmt.Errorf("making the layers of %s: %w", k, d.store.disk.explain(err))
	}
	return errors.Join(err, d.Discard())
}

// makeLayers makes the layers, and, where it is wanted, the index of them.
func (d *Draft) makeLayers(ctx context.Context, k Key, o LayerOptions) error {
	all, err := d.store.maker.layersOf(ctx, k, d.Dir(), d.lower, o)
	if err != nil || !o.Index {
		return err
	}
	name, err := indexName(interfaces(all), Key{})
	if err == nil {
		d.store.maker.indexDirectory(ctx, d.Dir(), name, true) // a build without the index is slower, and as right
	}
	return err
}

// Discard ends the draft and removes what is left of it. It does nothing to one that is over.
func (d *Draft) Discard() error {
	if d.held == nil {
		return nil
	}
	d.endAhead()
	if d.tree != nil { // nobody wants what was changed in it
		d.shown = nil
	}
	if err := errors.Join(d.Unmount(), d.dropTree()); err != nil {
		return err
	}
	err := snapshotter.RemoveAll(d.dir)
	if err != nil {
		err = d.store.disk.discard(d.dir)
	}
	if err == nil {
		err = os.Remove(d.dir + ".lock")
	}
	d.held.Close()
	d.held = nil
	if err != nil {
		return fmt.Errorf("discarding a draft: %w", err)
	}
	return nil
}
