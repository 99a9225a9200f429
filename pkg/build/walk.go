// This file owns the walk: from stage to stage, and from step to step.
// A stage is walked once, whoever needs it; its steps one after the other, since each stands on the one before.

package build

import (
	"context"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// walker walks the stages of one build, each once and side by side.
type walker struct {
	build   *parts
	serial  bool // not side by side: a stage is walked where another one waits for it
	walked  tasks.Once[*stage, layers.Key]
	guessed guesses
}

// stageKey returns the state after the last step of a stage; the stage is walked once.
func (w *walker) stageKey(ctx context.Context, st *stage) (layers.Key, error) {
	return w.startStage(ctx, st).Get(ctx)
}

// all walks the target, and beside it the stages that were asked for and that it does not need.
func (w *walker) all(ctx context.Context, target *stage) (layers.Key, error) {
	others := w.build.resolver.unneeded(target)
	w.startStages(ctx, others)
	key, err := w.stageKey(ctx, target)
	for i := 0; i < len(others) && err == nil; i++ {
		_, err = w.stageKey(ctx, others[i])
	}
	return key, err
}

// startStage walks a stage beside the rest, once.
func (w *walker) startStage(ctx context.Context, st *stage) *tasks.Future[layers.Key] {
	return w.walked.Start(st, func() (layers.Key, error) { return w.walk(ctx, st) })
}

// walk leads from the base of a stage to the state after its last step.
func (w *walker) walk(ctx context.Context, st *stage) (layers.Key, error) {
	key, err := w.before(ctx, st)
	if err != nil {
		return key, err
	}
	for i, asked := 0, 0; i < len(st.steps); i++ {
		s := st.steps[i]
		if i >= asked {
			asked = w.lookAhead(ctx, st, i, key)
		}
		if key, err = w.step(ctx, st, s, st.title(w.build.req.Plan, i), key); err != nil {
			return key, blame(w.build.req.Plan, s.Meta(), err)
		}
		st.keys = append(st.keys, key)
		w.build.exports.startWanted(ctx, st, key)
	}
	return key, nil
}

// before walks what a stage surely stands on and needs, and names the state that its first step starts from. One after the other, the
// stages that are needed come first: between two steps they would change the tree twice.
func (w *walker) before(ctx context.Context, st *stage) (layers.Key, error) {
	if w.mayGuess() {
		return w.baseKey(ctx, st)
	}
	w.startStages(ctx, st.needs)
	for _, need := range st.needs {
		if !w.serial {
			break
		}
		if _, err := w.stageKey(ctx, need); err != nil {
			return layers.Key{}, err
		}
	}
	return w.baseKey(ctx, st)
}

// sourceKey is the state of a stage that a step takes files from.
func (w *walker) sourceKey(ctx context.Context, s *dockerfile.Stage) (layers.Key, error) {
	return w.stageKey(ctx, w.build.resolver.stages[s])
}

// baseKey names the state that the first step of a stage starts from.
func (w *walker) baseKey(ctx context.Context, st *stage) (layers.Key, error) {
	switch st.Base.Kind {
	case dockerfile.FromStage:
		return w.stageKey(ctx, st.parent)
	case dockerfile.FromImage:
		return st.base.key, nil
	case dockerfile.FromContext:
		key, err := w.build.sources.contextKey(ctx, st.Base.Name)
		if err == nil {
			w.build.exports.startWanted(ctx, st, key)
		}
		return key, err
	default:
		return layers.Key{}, nil
	}
}

// step returns the state after s: from the store, or by executing it.
func (w *walker) step(ctx context.Context, st *stage, s dockerfile.Step, title string, parent layers.Key) (layers.Key, error) {
	one := &work{build: w.build, stage: st, step: s, parent: parent, title: title, rerun: w.build.req.NoCache || w.build.req.Fresh[st.Name] && st.Name != ""}
	err := one.name(ctx)
	if err != nil {
		return layers.Key{}, one.failed(err)
	}
	out, ok := one.known()
	if ok {
		one.explainHit(out)
		one.cached()
	} else if out, err = w.build.crew.steps.Get(ctx, one.recipes.own, func() (layers.Key, error) { return one.execute(ctx) }); err != nil {
		return out, err
	}
	w.build.states.note(out, parent, s)
	one.share(ctx, out)
	return out, nil
}
