package build

import (
	"context"
	"errors"
	"sync"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// With a shared cache, keys are found before anything runs: each step is taken to lead to the state that its recipe
// names, here or there. So all entries are asked for at once, and a stage of which only some files are wanted, which a
// shared cache knows the digest of, is not run at all.

// errUnknown says that only running something would tell.
var errUnknown = errors.New("not known before a stage has run")

const (
	sharedStep    = "step"
	sharedDigest  = "digest"
	sharedCreated = "created"
	sharedFiles   = "files" // indexes: see light.go
)

// guesses says whether states are named before they exist.
func (r *run) guesses() bool {
	return len(r.req.CacheFrom) > 0 && !r.req.NoCache && len(r.req.Fresh) == 0
}

// guess is the state that a stage will have.
func (r *run) guess(ctx context.Context, st *stage) (layers.Key, error) {
	r.mu.Lock()
	known := r.guessed[st]
	if known == nil {
		known = sync.OnceValues(func() (layers.Key, error) { return r.guessStage(ctx, st) })
		r.guessed[st] = known
	}
	r.mu.Unlock()
	return known()
}

func (r *run) guessStage(ctx context.Context, st *stage) (key layers.Key, err error) {
	switch st.Base.Kind {
	case dockerfile.FromStage:
		key, err = r.guess(ctx, st.parent)
	case dockerfile.FromContext:
		key, err = r.snapshotOf(ctx, st.Base.Name, "/")
	default:
		key, err = r.baseKey(ctx, st)
	}
	for i := 0; i < len(st.steps) && err == nil; i++ {
		key, err = r.guessStep(ctx, st, i, key)
	}
	return key, err
}

// guessStep is the state after one step; its entry is asked for, too.
func (r *run) guessStep(ctx context.Context, st *stage, i int, parent layers.Key) (layers.Key, error) {
	w := &work{run: r, stage: st, step: st.steps[i], parent: parent, guessing: true}
	recipes, err := w.recipesOf(ctx)
	if err != nil {
		return recipes.own, err
	}
	w.recipes = recipes
	if out, ok := w.find(); ok {
		return out.key, nil
	}
	for _, c := range r.req.CacheFrom {
		go c.find(r.outer, c.tag(sharedStep, recipes.public))
	}
	r.identify(recipes.own, identity{recipe: recipes.public})
	return recipes.own, nil
}

// lookAhead starts what the step i of a stage, and those that follow, need: it asks for their entries, and runs the
// stages that are known to be needed. It returns the index of the first step that it could not name.
func (r *run) lookAhead(ctx context.Context, st *stage, i int, key layers.Key) int {
	if !r.guesses() {
		return len(st.steps)
	}
	for j := i; j < len(st.steps); j++ {
		var err error
		if key, err = r.guessStep(ctx, st, j, key); err != nil {
			r.startStages(ctx, r.stagesOf(st.steps[j]))
			return j + 1
		}
	}
	return len(st.steps)
}

func (r *run) startStages(ctx context.Context, all []*stage) {
	for _, st := range all {
		r.startStage(ctx, st)
	}
}

// stagesOf lists the stages that a step reads.
func (r *run) stagesOf(s dockerfile.Step) (all []*stage) {
	for _, src := range sources([]dockerfile.Step{s}) {
		if src.Kind == dockerfile.FromStage {
			all = append(all, r.resolved[src.Stage])
		}
	}
	return all
}

// expected is the state of a source, which need not be there yet.
func (w *work) expected(ctx context.Context, src dockerfile.Source) (layers.Key, error) {
	if src.Kind != dockerfile.FromStage || !w.guesses() {
		return w.state(ctx, src)
	}
	if key, ok := w.finished(w.resolved[src.Stage]); ok {
		return key, nil
	}
	key, err := w.guess(ctx, w.resolved[src.Stage])
	if err != nil && !w.guessing {
		return w.state(ctx, src)
	}
	return key, err
}

// finished is the state of a stage that has run.
func (r *run) finished(st *stage) (key layers.Key, ok bool) {
	r.mu.Lock()
	f := r.futures[st]
	r.mu.Unlock()
	if f == nil {
		return key, false
	}
	select {
	case <-f.done:
		return f.key, f.err == nil
	default:
		return key, false
	}
}

// settle runs the stages that a step reads, where their states were only expected, and names the step by what is in them:
// a shared cache may have said something else of it. It comes before the step takes its slot: those stages need slots, too.
func (w *work) settle(ctx context.Context) error {
	needed := w.stagesOf(w.step)
	w.startStages(ctx, needed)
	for _, st := range needed {
		if _, err := w.stageKey(ctx, st); err != nil {
			return err
		}
	}
	if !w.claimed && (len(needed) == 0 || len(w.req.CacheFrom) == 0) {
		return nil
	}
	w.settled = true
	recipes, err := w.recipesOf(ctx)
	w.recipes = recipes
	return err
}
