// This file owns guesses. With a shared cache, keys are found before anything runs: each step is taken to lead to the state
// that its recipe names, here or there. So all entries are asked for at once, and a stage of which only some files are
// wanted, which a shared cache knows the digest of, is not run at all.

package build

import (
	"context"
	"errors"
	"sync"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// errUnknown says that only running something would tell.
var errUnknown = errors.New("not known before a stage has run")

// guesses are the states that stages are expected to lead to, each found once.
type guesses struct {
	mu    sync.Mutex
	known map[*stage]func() (layers.Key, error)
}

// mayGuess says whether states are named before they exist.
func (w *walker) mayGuess() bool {
	return len(w.build.req.CacheFrom) > 0 && !w.build.req.NoCache && len(w.build.req.Fresh) == 0
}

// guess is the state that a stage will have.
func (w *walker) guess(ctx context.Context, st *stage) (layers.Key, error) {
	g := &w.guessed
	g.mu.Lock()
	known := g.known[st]
	if known == nil {
		if g.known == nil {
			g.known = map[*stage]func() (layers.Key, error){}
		}
		known = sync.OnceValues(func() (layers.Key, error) { return w.guessStage(ctx, st) })
		g.known[st] = known
	}
	g.mu.Unlock()
	return known()
}

// guessStage names the states of a stage, one after the other.
func (w *walker) guessStage(ctx context.Context, st *stage) (key layers.Key, err error) {
	switch st.Base.Kind {
	case dockerfile.FromStage:
		key, err = w.guess(ctx, st.parent)
	case dockerfile.FromContext:
		key, err = w.build.sources.snapshotOf(ctx, st.Base.Name, "/")
	default:
		key, err = w.baseKey(ctx, st)
	}
	for i := 0; i < len(st.steps) && err == nil; i++ {
		key, err = w.guessStep(ctx, st, i, key)
	}
	return key, err
}

// guessStep is the state after one step; its entry is asked for, too.
func (w *walker) guessStep(ctx context.Context, st *stage, i int, parent layers.Key) (layers.Key, error) {
	one := &work{build: w.build, stage: st, step: st.steps[i], parent: parent, guessing: true}
	if err := one.name(ctx); err != nil {
		return layers.Key{}, err
	}
	if out, ok := one.find(); ok {
		if one.isOld(out.key) {
			return out.key, errUnknown
		}
		return out.key, nil
	}
	w.build.caches.ask(sharedStep, one.recipes.public)
	w.build.names.identify(one.recipes.own, identity{recipe: one.recipes.public})
	return one.recipes.own, nil
}

// lookAhead starts what the step i of a stage, and those that follow, need: it asks for their entries, and runs the
// stages that are known to be needed. It returns the index of the first step that it could not name.
func (w *walker) lookAhead(ctx context.Context, st *stage, i int, key layers.Key) int {
	if !w.mayGuess() {
		return len(st.steps)
	}
	for j := i; j < len(st.steps); j++ {
		var err error
		if key, err = w.guessStep(ctx, st, j, key); err != nil {
			w.startStages(ctx, w.build.resolver.sources(st.steps[j]))
			return j + 1
		}
	}
	return len(st.steps)
}

// startStages lets stages run beside the one that needs them, unless they are to run one after the other.
func (w *walker) startStages(ctx context.Context, all []*stage) {
	if w.serial {
		return
	}
	for _, st := range all {
		w.startStage(ctx, st)
	}
}

// expected is the state of a source, which need not be there yet. Whoever only guesses gets an error rather than that a stage
// is run.
func (w *walker) expected(ctx context.Context, guessing bool, src dockerfile.Source) (layers.Key, error) {
	if src.Kind != dockerfile.FromStage || !w.mayGuess() {
		return w.build.sources.state(ctx, src)
	}
	st := w.build.resolver.stages[src.Stage]
	if key, ok := w.walked.Finished(st); ok {
		return key, nil
	}
	key, err := w.guess(ctx, st)
	if err != nil && !guessing {
		return w.build.sources.state(ctx, src)
	}
	return key, err
}

// finish runs the stages that a step reads to their end, and says how many there are.
func (w *walker) finish(ctx context.Context, s dockerfile.Step) (read int, err error) {
	needed := w.build.resolver.sources(s)
	w.startStages(ctx, needed)
	for _, st := range needed {
		if _, err := w.stageKey(ctx, st); err != nil {
			return 0, err
		}
	}
	return len(needed), nil
}
