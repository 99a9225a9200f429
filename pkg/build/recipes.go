// This file owns what a step is named by, and where its result is looked for.
// Names are looked up in the order of whose they are: of this build's scope, of this machine alone, of scopes below, of others.

package build

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// keepMade remembers what the step has made. Run again without caches, it has a newer result than the one of the scope,
// which is looked up first.
func (w *work) keepMade(recipe, nonce layers.Key) error {
	_, err := w.build.names.keepLatest(recipe, nonce, nonce)
	if err != nil || !w.rerun || recipe != w.recipes.own || w.recipes.scoped.IsZero() {
		return err
	}
	if !w.build.store.Has(w.build.names.latest(w.recipes.scoped).key) {
		return nil
	}
	_, err = w.build.names.keepLatest(w.recipes.scoped, nonce, nonce) // there is no such state
	return err
}

// name finds out what the step depends on, and names it: in and recipes of w.
func (w *work) name(ctx context.Context) (err error) {
	switch s := w.step.(type) {
	case *dockerfile.Run:
		err = w.digestMounts(ctx, s)
	case *dockerfile.Copy:
		w.in.content, err = w.copyDigest(ctx, s)
	}
	if err != nil {
		return err
	}
	n, names := &w.recipes, w.build.names
	n.own, n.public = w.recipeOver(w.parent, w.in.sums), w.recipeOver(names.public(w.parent), w.publicSums())
	n.foreign, n.scoped, n.below = names.foreign(n.own), layers.Key{}, nil
	if _, ok := w.step.(*dockerfile.Run); ok {
		n.scoped = scoped(n.own, w.build.req.Scope)
		for _, scope := range w.build.req.ScopesBelow {
			n.below = append(n.below, scoped(n.own, scope))
		}
	}
	return nil
}

// recipeOver names the step over a parent, with what its mounts show.
func (w *work) recipeOver(parent layers.Key, sums [][32]byte) layers.Key {
	switch s := w.step.(type) {
	case *dockerfile.Run:
		return runKey(parent, s, w.stage.platform(), w.build.req.Limits, sums)
	case *dockerfile.Copy:
		return copyKey(parent, s, w.in.content, w.build.req.Plan.Epoch)
	case *dockerfile.Mkdir:
		return mkdirKey(parent, s, w.build.req.Plan.Epoch)
	}
	panic(fmt.Sprintf("unknown step %T", w.step))
}

// publicSums is sums with the names of states as all machines know them.
func (w *work) publicSums() [][32]byte {
	sums := slices.Clone(w.in.sums)
	for i := range sums {
		if sums[i] == [32]byte(w.in.states[i]) {
			sums[i] = w.build.names.public(w.in.states[i])
		}
	}
	return sums
}

// find looks the result of the step up under each of its names: the state, or its layers, whose files are not here as
// what they stand on was never fetched, or is gone.
func (w *work) find() (out outcome, ok bool) {
	if out, ok = w.findAs(func(name layers.Key) layers.Key { return name }); !ok && !w.guessing && w.weak() {
		return w.findAs(weak)
	}
	return out, ok
}

// findAs looks the result up under what its names are for one kind of builds.
func (w *work) findAs(kind func(layers.Key) layers.Key) (out outcome, ok bool) {
	looked := []func(layers.Key) bool{w.build.store.Has, w.layered}
	if !w.build.process.entered && bringsFiles(w.step) { // files without a layer are of no use there: nobody may make one of them
		looked = []func(layers.Key) bool{w.layered}
	}
	for _, here := range looked {
		for _, name := range w.recipes.stored() {
			if out = w.build.names.latest(kind(name)); here(out.key) {
				w.build.names.identify(out.key, identity{kind(w.recipes.public), out.nonce})
				return out, true
			}
		}
	}
	return out, false
}

// weak says whether the result of the step may have owners that the image should not have.
func (w *work) weak() bool {
	_, runs := w.step.(*dockerfile.Run)
	return runs && w.build.runs.weak != nil && w.build.runs.weak()
}

// layered says whether the layers of what the step made are here, though its files are not.
func (w *work) layered(out layers.Key) bool {
	if w.guessing {
		return false
	}
	all, ok := w.build.store.StoredLayers(out, w.layerOptions())
	if ok {
		w.build.states.keepImport(out, &imported{parent: w.parent, layers: all, title: w.title})
	}
	return ok
}

// importStep takes the result of the step from a shared cache. Its files stay there until something reads them. The
// entry has no part in its name but by what is in it.
func (w *work) importStep() (out outcome, ok bool) {
	e := w.build.caches.entry(sharedStep, w.recipes.public)
	if e == nil {
		return out, false
	}
	local, err := contentOf(e)
	if err == nil {
		out, err = w.build.names.keepLatest(w.recipes.foreign, e.Result, local)
	}
	if err != nil {
		w.build.events.notice(0, fmt.Sprintf("reading cache %s: %v; the entry is not used", e.Cache, err))
		return out, false
	}
	w.build.states.keepImport(out.key, &imported{w.parent, e.Layers, w.title, e.Cache})
	w.build.names.identify(out.key, identity{w.recipes.public, out.nonce})
	return out, true
}

// contentOf names an entry by what it brings.
func contentOf(e *sharedcache.Entry) (k layers.Key, err error) {
	h := sha256.New()
	h.Write(e.Result[:])
	for _, l := range e.Layers {
		id, err := l.DiffID()
		if err != nil {
			return k, fmt.Errorf("naming a layer: %w", err)
		}
		fmt.Fprintln(h, id)
	}
	return layers.Key(h.Sum(nil)), nil
}

// share writes the result of a step to the caches that are to have it, beside the steps that follow.
func (w *work) share(ctx context.Context, out layers.Key) {
	caches := w.build.caches
	for _, c := range caches.to {
		if !c.All && !w.stage.exported {
			continue
		}
		id := w.build.names.identityOf(out)
		caches.write(ctx, c, c.Tag(sharedStep, id.recipe), id.nonce, func() ([]v1.Layer, error) { return w.layers(ctx, out) })
	}
	if len(caches.to) > 0 && bringsFiles(w.step) && w.unread(bringsFiles) && !(isLinked(w.step) && w.unread(isLinked)) {
		w.build.indexes.share(ctx, w.parent)
	}
}

// layers makes the layers of the state that the step led to.
func (w *work) layers(ctx context.Context, out layers.Key) ([]v1.Layer, error) {
	if w.stage.exported {
		return w.build.exports.layers(ctx, out)
	}
	o := w.layerOptions()
	o.Aside = true
	return w.build.exports.of(ctx, out, o)
}
