// Drafts shown as one directory, for a RUN that must see the files of a state together with what it writes. How, is up to the
// snapshotter.

package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// shown is how a draft is shown.
type shown struct {
	root string
	end  func() error
}

// Mount shows the draft as one directory, and returns its path. A mount exists in the mount namespace of this process only, which
// must not be the host's.
func (d *Draft) Mount(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if d.shown != nil {
		return d.shown.root, nil
	}
	way, err := d.store.way()
	if err == nil && way == snapshotter.Copied {
		d.shown, err = d.showCopy(ctx)
	} else if err == nil {
		d.shown, err = d.showOverlay()
	}
	if err != nil {
		return "", err
	}
	return d.shown.root, nil
}

// Show shows one directory or file of a draft, whose path is free of links, and returns where it is. What is written there may end
// with the draft, and need not reach a snapshot.
func (d *Draft) Show(ctx context.Context, name string) (string, error) {
	way, err := d.store.way()
	if err == nil && way == snapshotter.Copied {
		return d.showAlone(ctx, name)
	}
	root, err := d.Mount(ctx)
	return filepath.Join(root, name), err
}

// Left returns the files that a command sees, or has left, while the draft is mounted.
func (d *Draft) Left() *rootfs.View {
	if d.tree == nil {
		return d.View()
	}
	return rootfs.NewView(d.tree.copy.Dir())
}

// showAlone copies what is to be shown. Where only an index of it is here, the files are brought here first.
func (d *Draft) showAlone(ctx context.Context, name string) (string, error) {
	to := filepath.Join(d.dir, "shown")
	at, err := snapshotter.Show(ctx, to, d.View(), name)
	if !errors.Is(err, snapshotter.ErrElsewhere) {
		return at, err
	}
	chain, err := d.store.snapshots.chain(d.parent)
	if err == nil {
		err = snapshotter.RemoveAll(to)
	}
	for i := len(chain) - 1; i >= 0 && err == nil; i-- {
		err = d.store.fetchBack(ctx, chain[i])
	}
	if err == nil {
		d.lower, err = d.store.View(d.parent)
	}
	if err != nil {
		return "", fmt.Errorf("showing a draft: %w", d.store.disk.explain(err))
	}
	return snapshotter.Show(ctx, to, d.View(), name)
}

// Unmount ends what Mount began. It does nothing to a draft that is not mounted.
func (d *Draft) Unmount() error {
	if d.shown == nil {
		return nil
	}
	if err := d.shown.end(); err != nil {
		return err
	}
	d.shown = nil
	return nil
}

// showOverlay mounts an overlay of the draft.
func (d *Draft) showOverlay() (*shown, error) {
	lowers, err := d.store.snapshots.stack(d.parent)
	var root string
	if err == nil {
		root, err = snapshotter.ShowOverlay(d.dir, lowers, d.Dir())
	}
	if err != nil {
		return nil, fmt.Errorf("mounting a draft: %w", err)
	}
	return &shown{root, func() error { return snapshotter.Unmount(root) }}, nil
}

// showCopy shows the draft in a tree of its own: one that a RUN before has left, or a new one. What was changed in it is in the
// draft when it is no longer shown.
func (d *Draft) showCopy(ctx context.Context) (*shown, error) {
	t, err := d.takeTree(ctx)
	if err != nil {
		return nil, fmt.Errorf("showing a draft: %w", d.store.disk.explain(err))
	}
	d.tree = t
	if err := t.copy.Begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("showing a draft: %w", err), d.dropTree())
	}
	return &shown{t.copy.Dir(), func() error { return t.collect(d.Upper()) }}, nil
}

// takeTree gets the tree that the draft had before, or another one.
func (d *Draft) takeTree(ctx context.Context) (*tree, error) {
	if d.tree == nil {
		return d.store.trees.take(ctx, d)
	}
	if err := d.tree.copy.Follow(ctx, d.View(), snapshotter.Turn{Entered: []string{d.Dir()}}); err != nil {
		return nil, errors.Join(err, d.dropTree())
	}
	return d.tree, nil
}

// keepTree keeps the tree of a draft that became the state k for a RUN on it, unless another process has made that state.
func (d *Draft) keepTree(k Key, made os.FileInfo) error {
	there, err := os.Lstat(d.store.disk.snapshot(k, "fs"))
	if err != nil || !os.SameFile(there, made) {
		return d.dropTree()
	}
	t := d.tree
	d.tree = nil
	return d.store.trees.keep(k, t)
}

// dropTree removes the tree of the draft.
func (d *Draft) dropTree() error {
	t := d.tree
	d.tree = nil
	if t == nil {
		return nil
	}
	return d.store.trees.drop(t)
}
