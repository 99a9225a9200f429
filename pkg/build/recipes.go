package build

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// This file owns the names of what steps made. A state has one here, and one that all machines with the same shared
// cache compute. They differ where somebody else had a say in the state: what a shared cache brought is stored under
// names that only builds which read the same caches look up, and what a RUN made that saw a cache mount under names of
// the trust scope whose mount it was. Names of children are made of those of their parents, so whatever is built upon such a
// state keeps apart from what this machine has made by itself.

// recipes are the names of a step's result.
type recipes struct {
	own     layers.Key   // of what is made here, of what the recipe says and nothing else
	scoped  layers.Key   // of what a RUN makes that sees a cache of this build's scope; zero for other steps
	below   []layers.Key // likewise of the scopes that this build reads
	foreign layers.Key   // of what the shared caches that the build reads have a say in; zero without any
	public  layers.Key   // of its entry in a shared cache: the same on every machine
}

// stored lists the names under which a result may be here, in the order in which they are looked up.
func (n *recipes) stored() (all []layers.Key) {
	for _, k := range slices.Concat([]layers.Key{n.scoped, n.own}, n.below, []layers.Key{n.foreign}) {
		if !k.IsZero() {
			all = append(all, k)
		}
	}
	return all
}

// scoped names what a RUN makes that sees caches of a trust scope: what other RUNs of the scope have left there may be in
// the result.
func scoped(name layers.Key, scope string) layers.Key {
	r := newRecipe("scope", name)
	r.text(scope)
	return r.key()
}

// outcome is a state that a recipe led to. The nonce tells it, on every machine, from others of the same recipe: it is
// zero unless the step was run again.
type outcome struct {
	key   layers.Key
	nonce layers.Key
}

// again names what a recipe led to beside the state of the recipe's own name.
func again(recipe, nonce layers.Key) layers.Key {
	if nonce.IsZero() {
		return recipe
	}
	r := newRecipe("again", recipe)
	r.bytes(nonce[:])
	return r.key()
}

// recordStep is the kind of the records that say what a recipe last led to: a nonce, and that of the name here.
const recordStep = "step"

// latest is what a recipe last led to, wherever that is now.
func (r *run) latest(recipe layers.Key) outcome {
	v, ok := r.Store.Recall(recordStep, recipe)
	if !ok || len(v) != 2*len(recipe) {
		return outcome{key: recipe}
	}
	return outcome{again(recipe, layers.Key(v[len(recipe):])), layers.Key(v[:len(recipe)])}
}

// keepLatest remembers what a recipe led to, so that latest finds it: a state named again(recipe, local).
func (r *run) keepLatest(recipe, nonce, local layers.Key) (outcome, error) {
	out := outcome{again(recipe, local), nonce}
	if r.latest(recipe) == out {
		return out, nil
	}
	return out, r.Store.Remember(recordStep, recipe, slices.Concat(nonce[:], local[:]))
}

// keepMade remembers what the step has made. Run again without caches, it has a newer result than the one of the scope,
// which is looked up first.
func (w *work) keepMade(recipe, nonce layers.Key) error {
	_, err := w.keepLatest(recipe, nonce, nonce)
	if err != nil || !w.fresh || recipe == w.recipes.scoped || w.recipes.scoped.IsZero() {
		return err
	}
	if !w.Store.Has(w.latest(w.recipes.scoped).key) {
		return nil
	}
	_, err = w.keepLatest(w.recipes.scoped, nonce, nonce) // there is no such state
	return err
}

// identity is how all machines call a state: by the public recipe of its step and the nonce of the outcome.
type identity struct{ recipe, nonce layers.Key }

// identify notes the identity of a state.
func (r *run) identify(k layers.Key, id identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.identities[k] = id
}

func (r *run) identityOf(k layers.Key) identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, known := r.identities[k]; known {
		return id
	}
	return identity{recipe: k}
}

// public is the name of a state that all machines know it by.
func (r *run) public(k layers.Key) layers.Key {
	id := r.identityOf(k)
	return again(id.recipe, id.nonce)
}

// foreignTo names the caches that the build reads, all together; zero where there are none.
func foreignTo(all []*SharedCache) (k layers.Key) {
	if len(all) == 0 {
		return k
	}
	r := newRecipe("caches", k)
	for _, c := range all {
		r.text(c.Place, c.Scope)
	}
	return r.key()
}

// foreign names what the caches of this build have a say in.
func (r *run) foreign(name layers.Key) layers.Key {
	k := newRecipe("foreign", name)
	k.bytes(r.caches[:])
	return k.key()
}

// recipesOf finds out what the step depends on, and names it.
func (w *work) recipesOf(ctx context.Context) (n recipes, err error) {
	switch s := w.step.(type) {
	case *dockerfile.Run:
		err = w.digestMounts(ctx, s)
	case *dockerfile.Copy:
		w.content, err = w.copyDigest(ctx, s)
	}
	if err != nil {
		return n, err
	}
	n.own, n.public = w.recipeOver(w.parent, w.sums), w.recipeOver(w.public(w.parent), w.publicSums())
	if !w.caches.IsZero() {
		n.foreign = w.foreign(n.own)
	}
	if _, ok := w.step.(*dockerfile.Run); ok {
		n.scoped = scoped(n.own, w.req.Scope)
		for _, scope := range w.req.ScopesBelow {
			n.below = append(n.below, scoped(n.own, scope))
		}
	}
	return n, nil
}

// recipeOver names the step over a parent, with what its mounts show.
func (w *work) recipeOver(parent layers.Key, sums [][32]byte) layers.Key {
	switch s := w.step.(type) {
	case *dockerfile.Run:
		return runKey(parent, s, w.platform(), w.req.Limits, sums)
	case *dockerfile.Copy:
		return copyKey(parent, s, w.content, w.plan.Epoch)
	case *dockerfile.Mkdir:
		return mkdirKey(parent, s, w.plan.Epoch)
	}
	panic(fmt.Sprintf("unknown step %T", w.step))
}

// publicSums is sums with the names of states as all machines know them.
func (w *work) publicSums() [][32]byte {
	sums := slices.Clone(w.sums)
	for i := range sums {
		if sums[i] == [32]byte(w.sources[i]) {
			sums[i] = w.public(w.sources[i])
		}
	}
	return sums
}

// find looks the result of the step up under each of its names: the state, or its layers, whose files are not here as
// what they stand on was never fetched, or is gone.
func (w *work) find() (out outcome, ok bool) {
	for _, here := range []func(layers.Key) bool{w.Store.Has, w.layered} {
		for _, name := range w.recipes.stored() {
			if out = w.latest(name); here(out.key) {
				w.identify(out.key, identity{w.recipes.public, out.nonce})
				return out, true
			}
		}
	}
	return out, false
}

// layered says whether the layers of what the step made are here, though its files are not.
func (w *work) layered(out layers.Key) bool {
	if w.guessing {
		return false
	}
	all, ok := w.Store.StoredLayers(out, w.layerOptions(w.extraLayers()))
	if ok {
		w.keepImport(out, &imported{parent: w.parent, layers: all, title: w.title})
	}
	return ok
}

// importStep takes the result of the step from a shared cache. Its files stay there until something reads them. The
// entry has no part in its name but by what is in it.
func (w *work) importStep() (out outcome, ok bool) {
	e := w.shared(sharedStep, w.recipes.public)
	if e == nil {
		return out, false
	}
	local, err := contentOf(e)
	if err == nil {
		out, err = w.keepLatest(w.recipes.foreign, e.result, local)
	}
	if err != nil {
		w.notice(fmt.Sprintf("reading cache %s: %v; the entry is not used", e.cache, err))
		return out, false
	}
	w.keepImport(out.key, &imported{w.parent, e.layers, w.title, e.cache})
	w.identify(out.key, identity{w.recipes.public, out.nonce})
	return out, true
}

// contentOf names an entry by what it brings.
func contentOf(e *entry) (k layers.Key, err error) {
	h := sha256.New()
	h.Write(e.result[:])
	for _, l := range e.layers {
		id, err := l.DiffID()
		if err != nil {
			return k, fmt.Errorf("naming a layer: %w", err)
		}
		fmt.Fprintln(h, id)
	}
	return layers.Key(h.Sum(nil)), nil
}
