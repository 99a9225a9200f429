// This file owns the making of a step's state: what runs, in which order, and under which name the result is kept.
// The first two attempts cost least: another process may have made the state meanwhile, and a layer may do without files.

package build

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// known finds the result of the step here or in a shared cache.
func (w *work) known() (layers.Key, bool) {
	if w.rerun {
		return layers.Key{}, false
	}
	out, ok := w.find()
	old := ok && w.isOld(out.key)
	if !ok || old {
		out, ok = w.importStep()
	}
	w.rerun = old && !ok // its name is taken by what is too old
	return out.key, ok
}

// execute makes the state, as one of those steps that run at a time. Steps with the same recipe do so once.
func (w *work) execute(ctx context.Context) (layers.Key, error) {
	if err := w.settle(ctx); err != nil {
		return layers.Key{}, w.failed(err)
	}
	if err := w.build.crew.slots.Acquire(ctx, 1); err != nil {
		return layers.Key{}, err
	}
	defer w.build.crew.slots.Release(1)
	if out, ok := w.known(); ok { // made meanwhile, by another process
		w.cached()
		return out, nil
	}
	w.explain(ctx)
	out, err := w.make(ctx)
	if err == nil {
		err = w.keepFacts(ctx)
	}
	if err != nil {
		return out, blame(w.build.req.Plan, w.step.Meta(), w.failed(err))
	}
	w.build.crew.executed.Add(1)
	w.build.events.done(w.number)
	return out, nil
}

// make makes the state of the step, and returns its name.
func (w *work) make(ctx context.Context) (out layers.Key, err error) {
	var recipe, nonce layers.Key
	if w.rerun {
		rand.Read(nonce[:])
	}
	if w.build.process.entered {
		recipe, err = w.makeFiles(ctx, nonce)
	} else {
		recipe, err = w.seal(ctx, nonce)
	}
	if out = again(recipe, nonce); err != nil {
		return out, err
	}
	if !w.build.store.Has(out) && !w.layered(out) {
		return out, errors.New("what the step made is gone")
	}
	public := w.recipes.public
	if w.weak() {
		public = weak(public)
	}
	w.build.names.identify(out, identity{public, nonce})
	return out, errors.Join(w.keepMade(recipe, nonce), w.keepAge(out))
}

// makeFiles makes the files of the state, or only its layer where that suffices. It returns the recipe that the result is of.
func (w *work) makeFiles(ctx context.Context, nonce layers.Key) (recipe layers.Key, err error) {
	recipe = w.recipes.own
	lower, foreign := w.lowerByIndex(ctx)
	if foreign {
		recipe = w.recipes.foreign
	}
	if lower == nil {
		if err := w.build.states.ensure(ctx, w.parent); err != nil {
			return recipe, err
		}
	}
	err = w.pack(ctx, again(recipe, nonce), lower)
	if errors.Is(err, files.ErrNotPackable) {
		return w.draft(ctx, nonce, lower != nil && isLinked(w.step))
	}
	return recipe, err
}

// draft executes the step in a draft over its parent and commits it, or over nothing, of which only the layers stay. It
// returns the recipe that the result is of.
func (w *work) draft(ctx context.Context, nonce layers.Key, floats bool) (recipe layers.Key, err error) {
	recipe = w.recipes.own
	parent := w.parent
	if floats {
		parent = layers.Key{}
	} else if err := w.build.states.ensure(ctx, parent); err != nil {
		return recipe, err
	}
	d, err := w.applied(ctx, parent)
	if w.distrusts(err) {
		d, err = w.applied(ctx, parent)
	}
	if err != nil {
		return recipe, err
	}
	defer d.Discard()
	if floats {
		return recipe, d.Layers(ctx, again(recipe, nonce), w.packOptions())
	}
	if run, ok := w.step.(*dockerfile.Run); ok {
		if err := w.tidy(d, run); err != nil {
			return recipe, err
		}
	}
	if w.sawCache {
		recipe = w.recipes.scoped
	}
	if w.weak() {
		recipe = weak(recipe)
	}
	return recipe, d.Commit(ctx, again(recipe, nonce))
}

// tidy leaves out of the draft of a RUN what is not to be in a state.
func (w *work) tidy(d *layers.Draft, s *dockerfile.Run) error {
	if ignored := w.build.req.Limits.Ignore; len(ignored) > 0 {
		if err := d.Forget(ignored); err != nil {
			return err
		}
	}
	if settles(s) {
		return d.Settle()
	}
	return nil
}

// applied executes the step in a new draft.
func (w *work) applied(ctx context.Context, parent layers.Key) (*layers.Draft, error) {
	d, err := w.build.store.Draft(ctx, parent)
	if err != nil {
		return nil, err
	}
	w.begin()
	if err := w.apply(ctx, d); err != nil {
		_ = d.Discard() // a draft that cannot be removed is reaped, as after a crash
		return nil, err
	}
	return d, nil
}

// apply is the one switch that executes steps.
func (w *work) apply(ctx context.Context, d *layers.Draft) error {
	switch s := w.step.(type) {
	case *dockerfile.Run:
		return w.runIn(ctx, d, s)
	case *dockerfile.Copy:
		tree, err := w.build.sources.tree(ctx, s.From)
		if err != nil {
			return err
		}
		return files.CopyInto(ctx, d, s, tree, w.build.sources.fetcher)
	case *dockerfile.Mkdir:
		return files.MakeDir(d, s)
	}
	panic(fmt.Sprintf("unknown step %T", w.step))
}

// settle runs the stages that a step reads, where their states were only expected, and names the step by what is in them:
// a shared cache may have said something else of it. It comes before the step takes its slot: those stages need slots, too.
func (w *work) settle(ctx context.Context) error {
	read, err := w.build.stages.finish(ctx, w.step)
	if err != nil || !w.in.claimed && (read == 0 || len(w.build.req.CacheFrom) == 0) {
		return err
	}
	w.in.settled = true
	return w.name(ctx)
}
