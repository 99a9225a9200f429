// This file owns the names of what steps made. A state has one here, and one that all machines with the same shared
// cache compute. They differ where somebody else had a say in the state: what a shared cache brought is stored under
// names that only builds which read the same caches look up, and what a RUN made that saw a cache mount under names of
// the trust scope whose mount it was. Names of children are made of those of their parents, so whatever is built upon such a
// state keeps apart from what this machine has made by itself.

package build

import (
	"slices"
	"sync"

	"github.com/gbuild/gbuild/internal/recipe"
	"github.com/gbuild/gbuild/pkg/layers"
)

// recipes are the names of a step's result.
type recipes struct {
	own     layers.Key   // the result that is made here from the inputs of the recipe alone
	scoped  layers.Key   // the result of a RUN that sees a cache of this build's scope; zero for other steps
	below   []layers.Key // the names that scoped would be in the scopes that this build reads but does not write
	foreign layers.Key   // a result that came from shared caches: other caches, another name; zero without any
	public  layers.Key   // the name of the entry in a shared cache: the same on every machine
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

// weak names what a RUN makes whose files may have other owners than the image should have.
func weak(name layers.Key) layers.Key { return recipe.New("weak", name).Key() }

// scoped names what a RUN makes that sees caches of a trust scope: what other RUNs of the scope have left there may be in
// the result.
func scoped(name layers.Key, scope string) layers.Key {
	r := recipe.New("scope", name)
	r.Text(scope)
	return r.Key()
}

// outcome is a state that a recipe led to. The nonce tells it, on every machine, from others of the same recipe: it is
// zero unless the step was run again.
type outcome struct {
	key   layers.Key
	nonce layers.Key
}

// again names what a recipe led to beside the state of the recipe's own name.
func again(name, nonce layers.Key) layers.Key {
	if nonce.IsZero() {
		return name
	}
	r := recipe.New("again", name)
	r.Bytes(nonce[:])
	return r.Key()
}

// identity is how all machines call a state: by the public recipe of its step and the nonce of the outcome.
type identity struct{ recipe, nonce layers.Key }

// names knows what recipes led to, and how other machines call that.
type names struct {
	store  *layers.Store
	caches layers.Key // names the shared caches that the build reads, all together; zero without any

	mu         sync.Mutex
	identities map[layers.Key]identity
}

// recordStep is the kind of the records that say what a recipe last led to: a nonce, and that of the name here.
const recordStep = "step"

// latest is what a recipe last led to, wherever that is now.
func (n *names) latest(recipe layers.Key) outcome {
	v, ok := n.store.Recall(recordStep, recipe)
	if !ok || len(v) != 2*len(recipe) {
		return outcome{key: recipe}
	}
	return outcome{again(recipe, layers.Key(v[len(recipe):])), layers.Key(v[:len(recipe)])}
}

// keepLatest remembers what a recipe led to, so that latest finds it: a state named again(recipe, local).
func (n *names) keepLatest(recipe, nonce, local layers.Key) (outcome, error) {
	out := outcome{again(recipe, local), nonce}
	if n.latest(recipe) == out {
		return out, nil
	}
	return out, n.store.Remember(recordStep, recipe, slices.Concat(nonce[:], local[:]))
}

// identify notes the identity of a state.
func (n *names) identify(k layers.Key, id identity) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.identities == nil {
		n.identities = map[layers.Key]identity{}
	}
	n.identities[k] = id
}

// identityOf is the identity of a state. One that nobody noted is called the same everywhere: the files of an image.
func (n *names) identityOf(k layers.Key) identity {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, known := n.identities[k]; known {
		return id
	}
	return identity{recipe: k}
}

// public is the name of a state that all machines know it by.
func (n *names) public(k layers.Key) layers.Key {
	id := n.identityOf(k)
	return again(id.recipe, id.nonce)
}

// foreign names what the shared caches of this build have a say in; zero without any.
func (n *names) foreign(name layers.Key) layers.Key {
	if n.caches.IsZero() {
		return layers.Key{}
	}
	k := recipe.New("foreign", name)
	k.Bytes(n.caches[:])
	return k.Key()
}
