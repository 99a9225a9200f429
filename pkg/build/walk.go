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

// stageKey returns the state after the last step of a stage; the stage is walked once.
func (r *run) stageKey(ctx context.Context, st *stage) (layers.Key, error) {
	return r.startStage(ctx, st).get(ctx)
}

func (r *run) startStage(ctx context.Context, st *stage) *future {
	return r.once(st, func() (layers.Key, error) { return r.walk(ctx, st) })
}

func (r *run) walk(ctx context.Context, st *stage) (layers.Key, error) {
	if !r.guesses() {
		r.startStages(ctx, st.needs)
	}
	key, err := r.baseKey(ctx, st)
	if err != nil {
		return key, err
	}
	for i, asked := 0, 0; i < len(st.steps); i++ {
		s := st.steps[i]
		if i >= asked {
			asked = r.lookAhead(ctx, st, i, key)
		}
		if key, err = r.step(ctx, st, s, r.title(st, i), key); err != nil {
			return key, r.blame(s.Meta(), err)
		}
		st.keys = append(st.keys, key)
		r.startLayers(ctx, st, key)
	}
	return key, nil
}

// baseKey names the state that the first step of a stage starts from.
func (r *run) baseKey(ctx context.Context, st *stage) (layers.Key, error) {
	switch st.Base.Kind {
	case dockerfile.FromStage:
		return r.stageKey(ctx, st.parent)
	case dockerfile.FromImage:
		return st.base.key, nil
	case dockerfile.FromContext:
		key, err := r.contextKey(ctx, st.Base.Name)
		if err == nil {
			r.startLayers(ctx, st, key)
		}
		return key, err
	default:
		return layers.Key{}, nil
	}
}

func (r *run) title(st *stage, i int) string {
	name := stageName(st.Stage) + " "
	if len(r.plan.Stages) == 1 && st.Name == "" {
		name = ""
	}
	return fmt.Sprintf("[%s%d/%d] %s", name, i+2, len(st.steps)+1, st.steps[i].Meta().Title)
}

// step returns the state after s: from the store, or by executing it.
func (r *run) step(ctx context.Context, st *stage, s dockerfile.Step, title string, parent layers.Key) (layers.Key, error) {
	work := &work{run: r, stage: st, step: s, parent: parent, title: title}
	recipes, err := work.recipesOf(ctx)
	if err != nil {
		return recipes.own, work.failed(err)
	}
	work.recipes, work.fresh = recipes, r.req.NoCache || r.req.Fresh[st.Name] && st.Name != ""
	out, ok := work.known()
	if ok {
		work.explainHit(out)
		r.report(Event{Type: Done, Step: work.begin(), Cached: true})
	} else if out, err = r.once(recipes.own, func() (layers.Key, error) { return work.execute(ctx) }).get(ctx); err != nil {
		return out, err
	}
	r.note(out, parent, s)
	work.share(ctx, out)
	work.shareFiles(ctx)
	return out, nil
}

// known finds the result of the step here or in a shared cache.
func (w *work) known() (layers.Key, bool) {
	if w.fresh {
		return layers.Key{}, false
	}
	out, ok := w.find()
	if !ok {
		out, ok = w.importStep()
	}
	return out.key, ok
}

// work is one step on its way.
type work struct {
	*run
	stage    *stage
	step     dockerfile.Step
	parent   layers.Key
	title    string
	recipes  recipes
	fresh    bool // what is stored does not count
	guessing bool // nothing may run: see guess.go
	claimed  bool // a shared cache has said what it reads
	settled  bool // what it reads is here: see settle
	sawCache bool // the RUN was given a directory that outlives it
	number   int
	distrust []string     // tools whose caches are renewed: see stalecache.go
	sums     [][32]byte   // for each mount of a RUN, the digest of what it shows
	content  [32]byte     // the digest of what a COPY selects
	made     *facts       // see explain.go
	sources  []layers.Key // for each mount of a RUN, the state that it shows
	paths    []string     // and the path in it
}

func (w *work) begin() int {
	if w.number == 0 {
		w.number = w.run.begin(w.title)
	}
	return w.number
}

func (w *work) failed(err error) error {
	var elsewhere *dockerfile.Error // a step that this one needs has failed, and said so
	var cache *CacheError           // the build will be done without it
	if errors.As(err, &cache) {
		return err
	}
	if errors.Is(err, ErrNeedsNamespace) || errors.Is(err, context.Canceled) || errors.As(err, &elsewhere) {
		return err
	}
	return w.fail(w.begin(), err)
}

func (w *work) execute(ctx context.Context) (layers.Key, error) {
	if err := w.settle(ctx); err != nil {
		return layers.Key{}, w.failed(err)
	}
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return layers.Key{}, err
	}
	defer w.slots.Release(1)
	if out, ok := w.known(); ok { // made meanwhile, by another process
		w.report(Event{Type: Done, Step: w.begin(), Cached: true})
		return out, nil
	}
	w.explain(ctx)
	out, err := w.make(ctx)
	if err == nil {
		err = w.keepFacts(ctx)
	}
	if err != nil {
		return out, w.blame(w.step.Meta(), w.failed(err))
	}
	w.executed.Add(1)
	w.report(Event{Type: Done, Step: w.number})
	return out, nil
}

// make makes the state of the step, and returns its name.
func (w *work) make(ctx context.Context) (out layers.Key, err error) {
	recipe, nonce := w.recipes.own, layers.Key{}
	if w.fresh {
		rand.Read(nonce[:])
	}
	lower, foreign := w.light(ctx)
	if foreign {
		recipe = w.recipes.foreign
	}
	if w.mayWork() && lower == nil {
		if err := w.ensure(ctx, w.parent); err != nil {
			return out, err
		}
	}
	err = w.pack(ctx, again(recipe, nonce), lower)
	if err == files.ErrNotPackable {
		recipe, err = w.draft(ctx, nonce, lower != nil && isLinked(w.step))
	}
	if out = again(recipe, nonce); err != nil {
		return out, err
	}
	if !w.Store.Has(out) && !w.layered(out) {
		return out, errors.New("what the step made is gone")
	}
	w.identify(out, identity{w.recipes.public, nonce})
	return out, w.keepMade(recipe, nonce)
}

// draft executes the step in a draft over its parent and commits it, or over nothing, of which only the layers stay. It
// returns the recipe that the result is of.
func (w *work) draft(ctx context.Context, nonce layers.Key, floats bool) (recipe layers.Key, err error) {
	recipe = w.recipes.own
	if !w.mayWork() {
		return recipe, ErrNeedsNamespace
	}
	parent := w.parent
	if floats {
		parent = layers.Key{}
	} else if err := w.ensure(ctx, parent); err != nil {
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
	if run, ok := w.step.(*dockerfile.Run); ok && settles(run) {
		if err := d.Settle(); err != nil {
			return recipe, err
		}
	}
	if w.sawCache {
		recipe = w.recipes.scoped
	}
	return recipe, d.Commit(ctx, again(recipe, nonce))
}

// applied executes the step in a new draft.
func (w *work) applied(ctx context.Context, parent layers.Key) (*layers.Draft, error) {
	d, err := w.Store.Draft(ctx, parent)
	if err != nil {
		return nil, err
	}
	w.begin()
	if err := w.apply(ctx, d); err != nil {
		_ = d.Discard() // what cannot be removed is reaped, as after a crash
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
		return w.copyIn(ctx, d, s)
	case *dockerfile.Mkdir:
		return files.MakeDir(d, s)
	}
	panic(fmt.Sprintf("unknown step %T", w.step))
}

// ensure brings the files of a state here: it unpacks the image that the state is, or its last layer, or fetches it from a
// shared cache.
func (r *run) ensure(ctx context.Context, k layers.Key) error {
	if r.Store.Unpacked(k) {
		return nil
	}
	if r.Store.Has(k) && r.mayWork() {
		return r.Store.Expand(ctx, k)
	}
	if !r.Entered {
		return ErrNeedsNamespace
	}
	if im := r.importOf(k); im != nil {
		return r.restore(ctx, k, im)
	}
	if b := r.baseOf(k); b != nil {
		return r.unpack(ctx, b)
	}
	return nil
}

func (r *run) baseOf(k layers.Key) *base {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.images {
		if b.key == k {
			return b
		}
	}
	return nil
}

func (r *run) unpack(ctx context.Context, b *base) error {
	_, err := r.once(b, func() (layers.Key, error) {
		n := r.begin("[internal] unpack " + b.ref)
		key, err := r.Store.Unpack(ctx, b.layers, func(done, total int64) {
			r.progress(n, done, total)
		})
		if err != nil {
			return key, r.fail(n, fmt.Errorf("unpacking %s: %w", b.ref, err))
		}
		r.report(Event{Type: Done, Step: n})
		return key, nil
	}).get(ctx)
	return err
}
