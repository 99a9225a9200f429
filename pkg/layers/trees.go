// Trees: whole copies of states, which a RUN works in where no overlay can be mounted. A tree lies beside the drafts, with a lock
// of its own. It is kept until the store is closed, so that the next RUN need not copy again.

package layers

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// tree is one copy. What the last RUN has changed is not in it, but in the snapshot of its state.
type tree struct {
	copy  *snapshotter.Copy
	ready func() error // says why the changes of a command cannot be collected; nil where they always can
	state Key
	dir   string
	held  *os.File
}

// collect moves what a command has changed to an upper directory.
func (t *tree) collect(u rootfs.Upper) error {
	if t.ready != nil {
		if err := t.ready(); err != nil {
			return err
		}
	}
	return t.copy.Collect(u)
}

// forest is where drafts get their trees. There are many trees, or one in a place of its own.
type forest interface {
	// take returns a tree with the files of a draft.
	take(ctx context.Context, d *Draft) (*tree, error)
	// keep keeps the tree of a draft that became a state.
	keep(state Key, t *tree) error
	// drop takes back a tree of which nobody knows what is in it.
	drop(t *tree) error
	// close removes what is there.
	close() error
}

// keptTrees is how many trees wait for a RUN: each is as large as an image.
const keptTrees = 3

// trees are those that no draft uses.
type trees struct {
	disk      disk
	snapshots *snapshots

	mu   sync.Mutex
	kept []*tree // the one that was kept last is the last
}

// take implements forest: it takes the nearest tree below the draft, or makes one.
func (ts *trees) take(ctx context.Context, d *Draft) (*tree, error) {
	t, levels, err := ts.nearest(d.parent)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return ts.grow(ctx, d.View())
	}
	if err := t.copy.Follow(ctx, d.View(), snapshotter.Turn{Entered: append(levels, d.Dir())}); err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return t, nil
}

// grow copies the files of a view.
func (ts *trees) grow(ctx context.Context, v *rootfs.View) (*tree, error) {
	t := &tree{dir: ts.disk.own("drafts", rand.Text())}
	var err error
	if t.held, err = durable.Lock(ctx, t.dir+".lock", durable.Exclusive); err != nil {
		return nil, err
	}
	if err = os.Mkdir(t.dir, 0o700); err == nil {
		t.copy, err = snapshotter.NewCopy(ctx, t.dir+"/root", v)
	}
	if err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return t, nil
}

// remove removes a tree. What cannot be removed is reaped, as after a crash.
func (t *tree) remove() error {
	defer t.held.Close()
	if err := snapshotter.RemoveAll(t.dir); err != nil {
		return err
	}
	return os.Remove(t.dir + ".lock")
}

// nearest takes the nearest tree below a state, and the directories that it is to follow, the lowest first; nil where there is none.
func (ts *trees) nearest(state Key) (*tree, []string, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.kept) == 0 {
		return nil, nil, nil
	}
	chain, err := ts.snapshots.chain(state)
	if err != nil {
		return nil, nil, err
	}
	for n, k := range chain {
		if i := slices.IndexFunc(ts.kept, func(kept *tree) bool { return kept.state == k }); i >= 0 {
			found := ts.kept[i]
			ts.kept = slices.Delete(ts.kept, i, i+1)
			return found, ts.snapshots.dirs(chain[:n+1]), nil
		}
	}
	return nil, nil, nil
}

// keep implements forest. The tree that was kept longest gives way.
func (ts *trees) keep(state Key, kept *tree) error {
	ts.mu.Lock()
	kept.state = state
	ts.kept = append(ts.kept, kept)
	var last *tree
	if len(ts.kept) > keptTrees {
		last, ts.kept = ts.kept[0], ts.kept[1:]
	}
	ts.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.remove()
}

// drop implements forest.
func (ts *trees) drop(t *tree) error { return t.remove() }

// close implements forest.
func (ts *trees) close() (err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, kept := range ts.kept {
		err = errors.Join(err, kept.remove())
	}
	ts.kept = nil
	return err
}
