package build

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// Layering says what the layers of an image are.
type Layering int

// The ways of Layering.
const (
	SplitLayers Layering = iota // a step that installed large Python distributions becomes several layers, any other one
	StepLayers                  // each step becomes one
	OneLayer                    // all steps together become one
)

// ParseLayering reads the value of --layers.
func ParseLayering(text string) (Layering, error) {
	i := slices.Index([]string{"auto", "per-step", "squash"}, text)
	if i < 0 {
		return 0, fmt.Errorf("unknown layers %q: auto, per-step or squash", text)
	}
	return Layering(i), nil
}

// maxLayers is how many layers an image gets by splitting: Docker mounts 128 at most, and images are built upon.
const maxLayers = 120

// extraLayers is how many layers the steps of the image may become beside one for each.
func (r *run) extraLayers() int {
	n := maxLayers
	for st := r.target; st != nil; st = st.parent {
		n -= len(st.steps)
		if st.base != nil {
			n -= len(st.base.layers)
		}
	}
	if r.req.Layering != SplitLayers {
		n = 0
	}
	return max(n, 0)
}

func (r *run) layerOptions(extra int) layers.LayerOptions {
	return layers.LayerOptions{Compression: r.req.Compress, Epoch: r.plan.Epoch, Max: min(1+extra, split.MaxLayers), Report: r.packed}
}

// layerName names the future of the layers of a step, beside that of the step whose snapshot they are made of.
type layerName layers.Key

// startLayers makes the layers of a state of the stage beside the steps that follow, if it is to have some.
func (r *run) startLayers(ctx context.Context, st *stage, k layers.Key) {
	if st.exported && !r.req.NoLayers && r.req.Layering != OneLayer {
		r.layersOf(ctx, k)
	}
}

// packAhead compresses what the RUN installs while it runs, if its layers will be wanted.
func (w *work) packAhead(ctx context.Context, d *layers.Draft, s *dockerfile.Run) {
	if w.stage.exported && !w.req.NoLayers && w.req.Layering != OneLayer && installsPython(s) {
		d.PackAhead(ctx, prefixes(s), w.layerOptions(w.extraLayers()))
	}
}

func (r *run) layersOf(ctx context.Context, k layers.Key) *future {
	return r.once(layerName(k), func() (layers.Key, error) {
		all, err := r.stepLayers(ctx, k, r.layerOptions(r.extraLayers()))
		if r.importOf(k) == nil { // what another machine made may be here by the end, and is read here then
			r.mu.Lock()
			defer r.mu.Unlock()
			r.made[k] = all
		}
		return k, err
	})
}

// stepLayers returns the layers of a state, those of a shared cache where they are as few as they are to be.
func (r *run) stepLayers(ctx context.Context, k layers.Key, o layers.LayerOptions) ([]v1.Layer, error) {
	o.Alone = r.madeOf(k).linked
	if all, ok := r.Store.StoredLayers(k, o); ok {
		return all, nil
	}
	if im := r.importOf(k); im != nil && len(im.layers) <= o.Max {
		return im.layers, nil
	}
	if !r.mayWork() {
		return nil, ErrNeedsNamespace
	}
	if err := r.ensure(ctx, k); err != nil {
		return nil, err
	}
	defer r.exports()()
	all, _, err := r.Store.Layers(ctx, k, o)
	return all, err
}

// origin is how a state of this build is made: its layers are the same whatever is below where a COPY --link made it.
type origin struct {
	parent layers.Key
	linked bool // by a COPY --link
	copied bool // by any COPY
	brings bool // by a step that brings files, and executes nothing
	known  bool
}

func (r *run) note(k, parent layers.Key, s dockerfile.Step) {
	_, copied := s.(*dockerfile.Copy)
	_, ran := s.(*dockerfile.Run)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.origins[k] = origin{parent: parent, linked: isLinked(s), copied: copied, brings: !ran, known: true}
}

func (r *run) madeOf(k layers.Key) origin {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.origins[k]
}

// madeLayers waits for the layers that layersOf makes of a state.
func (r *run) madeLayers(ctx context.Context, k layers.Key) ([]v1.Layer, error) {
	if _, err := r.layersOf(ctx, k).get(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	all := r.made[k]
	r.mu.Unlock()
	if all != nil {
		return all, nil
	}
	return r.stepLayers(ctx, k, r.layerOptions(r.extraLayers()))
}

// stack collects the layers of an image, the lowest first.
type stack struct {
	*run
	extra  int // layers that steps may still become beside one for each
	layers []v1.Layer
	parts  map[int][]string // index of a step's history entry -> what is in the layers below that of the step's rest

	without map[int]bool // indices of history entries of steps that have no layer
}

// add puts the layers of the base image on the stack and, in order, those of all steps up to the end of st.
func (x *stack) add(ctx context.Context, st *stage) error {
	if st.parent != nil {
		if err := x.add(ctx, st.parent); err != nil {
			return err
		}
	}
	if st.base != nil {
		x.layers = append(x.layers, st.base.layers...)
	}
	if st.Base.Kind == dockerfile.FromContext {
		key, err := x.baseKey(ctx, st)
		if err != nil {
			return err
		}
		if _, err := x.addStep(ctx, key); err != nil {
			return err
		}
	}
	for i, k := range st.keys {
		names, err := x.addStep(ctx, k)
		if err != nil {
			return err
		}
		x.parts[st.steps[i].Meta().History] = names
	}
	return nil
}

// addStep returns what is in all layers of the step but the last.
func (x *stack) addStep(ctx context.Context, k layers.Key) (names []string, err error) {
	all, err := x.madeLayers(ctx, k)
	if err == nil && len(all)-1 > x.extra {
		all, err = x.stepLayers(ctx, k, x.layerOptions(x.extra))
	}
	if err != nil {
		return nil, err
	}
	x.extra = max(0, x.extra-(len(all)-1))
	x.layers = append(x.layers, all...)
	for _, l := range all[:len(all)-1] {
		names = append(names, enumerate(layers.DistributionsOf(l)))
	}
	return names, nil
}

func enumerate(names []string) string {
	if len(names) > 4 {
		names = append(slices.Clone(names[:3]), fmt.Sprintf("%d more", len(names)-3))
	}
	return strings.Join(names, ", ")
}

// history returns the entries with one for each layer, as tools that count them expect.
func (x *stack) history(entries []v1.History) (all []v1.History) {
	for i, h := range entries {
		for _, names := range x.parts[i] {
			all = append(all, v1.History{CreatedBy: "# " + names + ": part of the next step", Comment: h.Comment})
		}
		h.EmptyLayer = h.EmptyLayer || x.without[i]
		all = append(all, h)
	}
	return all
}

// squash puts the layers of the base image on the stack, and one of all steps. Of their history entries the last stands
// for it.
func (x *stack) squash(ctx context.Context, st *stage) error {
	key, err := x.stageKey(ctx, st)
	if err != nil {
		return err
	}
	x.without = map[int]bool{}
	last := -1
	for at := st; at != nil; at = at.parent {
		for _, s := range at.steps {
			last = max(last, s.Meta().History)
			x.without[s.Meta().History] = true
		}
		st = at
	}
	delete(x.without, last)
	var base layers.Key
	if st.base != nil {
		x.layers, base = append(x.layers, st.base.layers...), st.base.key
	}
	if key == base {
		return nil
	}
	if !x.Store.HasSquashed(key, base, x.layerOptions(0)) {
		if !x.mayWork() {
			return ErrNeedsNamespace
		}
		if err := x.ensure(ctx, key); err != nil {
			return err
		}
	}
	defer x.exports()()
	l, _, err := x.Store.Squash(ctx, key, base, x.layerOptions(0))
	x.layers = append(x.layers, l)
	return err
}
