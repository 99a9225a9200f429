// A place: a directory that is not the store's, in which it has its one tree. It is the root directory of a container, where a RUN can
// have no other. What was there before is written down beside the tree before anything is changed; so the tree can be taken away again,
// by the build itself or, where that was killed, by the next one.

package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/procfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// Place is a directory for the tree of a store.
type Place struct {
	Dir   string   // the root directory of the tree
	Kept  []string // paths that are never a part of it, with all that is in them; so is whatever is mounted below Dir
	Aside []string // files that make room for those of the tree, and come back
	Own   string   // a directory on the filesystem of Dir for what is to be known of the tree; it is kept, too
}

// UsePlace lets drafts be shown in a place, one at a time. Whatever else is in it must be there before. What a dead process has left there
// is taken away.
func (s *Store) UsePlace(p Place) error {
	one, err := newOneTree(s, p)
	if err == nil {
		err = one.recover()
	}
	if err != nil {
		return fmt.Errorf("preparing %s for builds: %w", p.Dir, err)
	}
	s.trees = one
	s.way = func() (snapshotter.Way, error) { return snapshotter.Copied, nil }
	return nil
}

// LeavePlace makes the place of the store, if it has one, what it was before the first draft was shown there. Close does so, too. No draft
// may be shown any more.
func (s *Store) LeavePlace() error {
	if one, ok := s.trees.(*oneTree); ok {
		return one.close()
	}
	return nil
}

// oneTree is the tree in a place. Who has the turn may use all fields.
type oneTree struct {
	store *Store
	dir   string
	own   string
	names []string      // kept, as seen from dir
	aside []string      // likewise, those that make room
	turn  chan struct{} // has an element while no draft has the tree

	held   *os.File // the lock of the place, against other processes; nil before the first draft
	found  []snapshotter.Found
	mounts []string          // where something was mounted when the tree was shown
	copy   *snapshotter.Copy // nil: nobody knows what is there
	state  Key               // whose files it has, but for what was moved to that state's own snapshot
}

func newOneTree(s *Store, p Place) (*oneTree, error) {
	dir, err := filepath.EvalSymlinks(p.Dir)
	if err == nil {
		err = os.MkdirAll(p.Own, 0o700)
	}
	if err != nil {
		return nil, err
	}
	o := &oneTree{store: s, dir: dir, turn: make(chan struct{}, 1)}
	o.next()
	if o.own, err = resolved(p.Own); err == nil {
		o.names, err = o.inside(append([]string{p.Own}, p.Kept...))
	}
	if err == nil {
		o.aside, err = o.inside(p.Aside)
	}
	return o, err
}

// inside returns those of the paths that are in the place, as seen from there.
func (o *oneTree) inside(paths []string) (names []string, err error) {
	for _, name := range paths {
		real, err := resolved(name)
		if err != nil {
			return nil, err
		}
		if inside, ok := strings.CutPrefix(real, strings.TrimSuffix(o.dir, "/")+"/"); ok {
			names = append(names, "/"+inside)
		}
	}
	return names, nil
}

// resolved is a path without links. What does not exist has none.
func resolved(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) && name != "/" {
		above, err := resolved(filepath.Dir(name))
		return filepath.Join(above, filepath.Base(name)), err
	}
	return real, err
}

// take implements forest. It waits for the draft that has the tree.
func (o *oneTree) take(ctx context.Context, d *Draft) (*tree, error) {
	select {
	case <-o.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := o.show(ctx, d); err != nil {
		return nil, errors.Join(err, o.drop(nil))
	}
	return &tree{copy: o.copy, ready: o.sameMounts}, nil
}

// show makes the tree that of a draft.
func (o *oneTree) show(ctx context.Context, d *Draft) error {
	if err := o.begin(ctx); err != nil {
		return err
	}
	at, err := o.place()
	if err != nil {
		return err
	}
	turn, known, err := o.store.snapshots.turn(o.state, d.parent)
	if err != nil {
		return err
	}
	if !known {
		o.copy = nil
	}
	turn.Entered = append(turn.Entered, d.Dir())
	o.copy, err = at.Turn(ctx, o.copy, d.View(), turn)
	return err
}

// keep implements forest.
func (o *oneTree) keep(state Key, _ *tree) error {
	o.state = state
	o.next()
	return nil
}

// drop implements forest.
func (o *oneTree) drop(*tree) error {
	o.copy = nil
	o.next()
	return nil
}

// next lets the next draft have the tree.
func (o *oneTree) next() {
	select {
	case o.turn <- struct{}{}:
	default:
	}
}

// close implements forest: it takes the tree away.
func (o *oneTree) close() error {
	select {
	case <-o.turn:
	default: // a draft that nobody has ended
	}
	defer o.next()
	if o.held == nil {
		return nil
	}
	err := errors.Join(o.takeAway(), o.held.Close())
	if o.held = nil; err != nil {
		return fmt.Errorf("taking the files of an image out of %s: %w", o.dir, err)
	}
	return nil
}

// record is where it is written what was in the place before. It is there while a tree is, or a part of one.
func (o *oneTree) record() string { return filepath.Join(o.own, "found.json") }

// lock is held by the process that has a tree in the place.
func (o *oneTree) lock() string { return filepath.Join(o.own, "lock") }

// begin takes the place for this process, and writes down what is in it.
func (o *oneTree) begin(ctx context.Context) (err error) {
	if o.held != nil {
		return nil
	}
	held, err := durable.TryLock(o.lock(), durable.Exclusive)
	if errors.Is(err, durable.ErrLocked) {
		o.store.notice("another build works in " + o.dir + "; waiting for its end")
		held, err = durable.Lock(ctx, o.lock(), durable.Exclusive)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(o.takeAway(), o.writeDown()); err != nil {
		return errors.Join(err, held.Close())
	}
	o.held = held
	return nil
}

// writeDown makes the record, and then room for the tree.
func (o *oneTree) writeDown() error {
	at, err := o.place()
	if err == nil {
		o.found, err = at.Survey(o.aside)
	}
	if err != nil {
		return fmt.Errorf("looking at what is in %s: %w", o.dir, err)
	}
	data, err := json.Marshal(o.found)
	if err != nil {
		return err
	}
	if err := durable.Save(o.record(), data); err != nil {
		return err
	}
	return at.SetAside(o.found)
}

// recover takes away the tree of a process that is dead. One that lives has the lock.
func (o *oneTree) recover() error {
	held, err := durable.TryLock(o.lock(), durable.Exclusive)
	if errors.Is(err, durable.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(o.takeAway(), held.Close())
}

// takeAway makes the place what the record says, which there is none of afterwards.
func (o *oneTree) takeAway() error {
	data, err := os.ReadFile(o.record())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && o.found == nil {
		err = json.Unmarshal(data, &o.found)
	}
	if err != nil {
		return fmt.Errorf("reading what was in %s: %w", o.dir, err)
	}
	at, err := o.place()
	if err == nil {
		err = at.Clear()
	}
	if err == nil {
		err = at.Restore(o.found)
	}
	o.found, o.copy = nil, nil
	if err != nil {
		return err
	}
	return os.Remove(o.record())
}

// place is the place with what is kept in it now.
func (o *oneTree) place() (at snapshotter.Place, err error) {
	if o.mounts, err = o.mountPoints(); err != nil {
		return at, err
	}
	at = snapshotter.Place{Dir: o.dir, Own: o.own, Kept: &snapshotter.Kept{}}
	o.found = at.Still(o.found)
	at.Protect(o.found)
	for _, name := range append(o.mounts, o.names...) {
		at.Kept.Hide(name)
	}
	return at, nil
}

// mountPoints lists where something is mounted in the place.
func (o *oneTree) mountPoints() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("finding out what is mounted: %w", err)
	}
	return procfs.MountPoints(string(text), o.dir), nil
}

// sameMounts refuses what a command has left that has moved a directory in which something is mounted: the mount has gone with it.
func (o *oneTree) sameMounts() error {
	now, err := o.mountPoints()
	if err != nil {
		return err
	}
	for _, name := range now {
		if !slices.Contains(o.mounts, name) {
			return fmt.Errorf("a command has moved a directory in which something is mounted, so that it is at %s now", name)
		}
	}
	return nil
}
