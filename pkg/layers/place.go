// A place: a directory that is not the store's, in which it has its one tree. It is the root directory of a container, where a RUN can
// have no other. How the place is held, and becomes what it was before, is the snapshotter's matter.

package layers

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	held, err := snapshotter.NewHolding(p.Dir, p.Own, p.Kept, p.Aside)
	if err == nil {
		err = held.Recover()
	}
	if err != nil {
		return fmt.Errorf("preparing %s for builds: %w", p.Dir, err)
	}
	one := &oneTree{store: s, held: held, turn: make(chan struct{}, 1)}
	one.next()
	s.trees = one
	s.way = func() (snapshotter.Way, error) { return snapshotter.Copied, nil }
	return nil
}

// LeavePlace makes the place of the store, if it has one, what it was before the first draft was shown there. Close does so, too, and waits
// until all that was taken out of it is removed. No draft may be shown any more.
func (s *Store) LeavePlace() error {
	if one, ok := s.trees.(*oneTree); ok {
		return one.leave()
	}
	return nil
}

// oneTree is the tree in a place. Who has the turn may use all fields.
type oneTree struct {
	store *Store
	held  *snapshotter.Holding
	turn  chan struct{}     // has an element while no draft has the tree
	copy  *snapshotter.Copy // nil: nobody knows what is there
	state Key               // whose files it has, but for what was moved to that state's own snapshot
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
	return &tree{copy: o.copy, ready: o.held.SameMounts}, nil
}

// show makes the tree that of a draft.
func (o *oneTree) show(ctx context.Context, d *Draft) error {
	if err := o.held.Begin(ctx, o.store.notice); err != nil {
		return err
	}
	at, err := o.held.Place()
	if err != nil {
		return err
	}
	turn, known, err := o.store.snapshots.turn(o.state, d.parent)
	if err != nil {
		return err
	}
	if known && o.copy != nil {
		turn.Entered = append(turn.Entered, d.Dir())
		if done, err := at.Turn(ctx, o.copy, d.View(), turn); done || err != nil {
			return err
		}
	}
	return o.fill(ctx, at, d)
}

// fill makes the tree that of a draft, whatever is in it. What was taken out is removed before a command can come upon it.
func (o *oneTree) fill(ctx context.Context, at snapshotter.Place, d *Draft) error {
	defer o.held.Wait()
	defer o.held.Sweep()
	lent, above, err := o.loosen(ctx, d.parent)
	if err != nil {
		return err
	}
	if len(lent) == 0 {
		o.copy, err = at.Fill(ctx, d.View())
		return err
	}
	slices.Reverse(above)
	o.copy, err = at.Adopt(ctx, d.View(), lent, append(o.store.snapshots.dirs(above), d.Dir()))
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

// leave takes the tree out of the place.
func (o *oneTree) leave() error {
	select {
	case <-o.turn:
	default: // a draft that nobody has ended
	}
	defer o.next()
	o.copy = nil
	o.giveUp()
	return o.held.End()
}

// close implements forest.
func (o *oneTree) close() error {
	defer o.held.Wait()
	return o.leave()
}
