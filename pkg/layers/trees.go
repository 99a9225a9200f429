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
	state Key
	dir   string
	held  *os.File
}

// keptTrees is how many trees wait for a RUN: each is as large as an image.
const keptTrees = 3

// trees are those that no draft uses.
type trees struct {
	mu   sync.Mutex
	kept []*tree // the one that was kept last is the last
}

// newTree copies the files of a view.
func (s *Store) newTree(ctx context.Context, v *rootfs.View) (*tree, error) {
	t := &tree{dir: s.disk.own("drafts", rand.Text())}
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

// take takes the nearest tree below a state, and the directories that it is to follow, the lowest first; nil where there is none.
func (t *trees) take(s *snapshots, state Key) (*tree, []string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var levels []string
	for k := state; len(t.kept) > 0 && !k.IsZero(); {
		levels = append(levels, s.disk.snapshot(k, "fs"))
		if i := slices.IndexFunc(t.kept, func(kept *tree) bool { return kept.state == k }); i >= 0 {
			found := t.kept[i]
			t.kept = slices.Delete(t.kept, i, i+1)
			slices.Reverse(levels)
			return found, levels, nil
		}
		m, err := s.heldMeta(k)
		if err != nil {
			return nil, nil, err
		}
		k = m.Parent
	}
	return nil, nil, nil
}

// keep keeps the tree of a state. The one that was kept longest gives way.
func (t *trees) keep(state Key, kept *tree) error {
	t.mu.Lock()
	kept.state = state
	t.kept = append(t.kept, kept)
	var last *tree
	if len(t.kept) > keptTrees {
		last, t.kept = t.kept[0], t.kept[1:]
	}
	t.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.remove()
}

// drop removes all trees.
func (t *trees) drop() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kept := range t.kept {
		err = errors.Join(err, kept.remove())
	}
	t.kept = nil
	return err
}
