// Drafts shown as one directory, for a RUN that must see the files of a state together with what it writes. How, is up to the
// snapshotter.

package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
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
		return snapshotter.Show(ctx, filepath.Join(d.dir, "shown"), d.View(), name)
	}
	root, err := d.Mount(ctx)
	return filepath.Join(root, name), err
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
	root := d.dir + "/root"
	if len(d.lowers) > maxLowers {
		return nil, hint.Errorf("start from a base image with fewer layers", "mounting a draft: %w", ErrTooDeep)
	}
	if err := d.mountPoints(root); err != nil {
		return nil, fmt.Errorf("mounting a draft: %w", err)
	}
	lowers := d.lowers
	if len(lowers) == 0 {
		lowers = []string{d.dir + "/empty"} // overlayfs wants at least one
	}
	if err := snapshotter.MountOverlay(root, lowers, d.Dir(), d.dir+"/work"); err != nil {
		return nil, fmt.Errorf("mounting %d layers: %w", len(d.lowers)+1, err)
	}
	return &shown{root, func() error { return unmount(root) }}, nil
}

func (d *Draft) mountPoints(root string) error {
	// A work directory of a volatile mount refuses a second one.
	if err := os.RemoveAll(d.dir + "/work"); err != nil {
		return err
	}
	dirs := []string{d.dir + "/work", root}
	if len(d.lowers) == 0 {
		dirs = append(dirs, d.dir+"/empty")
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func unmount(root string) error {
	err := unix.Unmount(root, unix.UMOUNT_NOFOLLOW)
	if err != nil {
		// Something in it is still open. It goes away by itself when that is closed, but its files may change until then.
		err = unix.Unmount(root, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil {
		return fmt.Errorf("unmounting a draft: %w", err)
	}
	return nil
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
