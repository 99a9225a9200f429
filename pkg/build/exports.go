// This file owns the making of layers of states.
// Layers cost more than most steps; so they are begun as soon as a state is there, and waited for at the end.

package build

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/layers"
)

// exports makes the layers of states, those of each state once and beside the steps that follow.
type exports struct {
	store    *layers.Store
	states   *states
	layering *layerPlan
	line     *exporting

	made tasks.Once[layers.Key, []v1.Layer] // the layers of each state; nil for one that another machine made
}

// newExports makes layers of these states.
func newExports(s *states, line *exporting, t *tasks.Group) *exports {
	return &exports{store: s.store, states: s, layering: s.layering, line: line, made: tasks.Once[layers.Key, []v1.Layer]{Tasks: t}}
}

// startWanted makes the layers of a state of the stage, if it is to have some.
func (x *exports) startWanted(ctx context.Context, st *stage, k layers.Key) {
	if x.layering.wants(st) {
		x.start(ctx, k)
	}
}

// start makes the layers of a state, once and beside the rest.
func (x *exports) start(ctx context.Context, k layers.Key) *tasks.Future[[]v1.Layer] {
	return x.made.Start(k, func() ([]v1.Layer, error) {
		all, err := x.of(ctx, k, x.layering.options(x.layering.extra))
		if x.states.importOf(k) != nil { // what another machine made may be here by the end, and is read here then
			return nil, err
		}
		return all, err
	})
}

// layers waits for the layers that are made of a state.
func (x *exports) layers(ctx context.Context, k layers.Key) ([]v1.Layer, error) {
	all, err := x.start(ctx, k).Get(ctx)
	if err != nil || all != nil {
		return all, err
	}
	return x.of(ctx, k, x.layering.options(x.layering.extra))
}

// of returns the layers of a state, those of a shared cache where they are as few as they are to be.
func (x *exports) of(ctx context.Context, k layers.Key, o layers.LayerOptions) ([]v1.Layer, error) {
	o.Alone = x.states.originOf(k).linked
	if all, ok := x.store.StoredLayers(k, o); ok {
		return all, nil
	}
	if im := x.states.importOf(k); im != nil && len(im.layers) <= o.Max {
		return im.layers, nil
	}
	if err := x.states.ensure(ctx, k); err != nil {
		return nil, err
	}
	defer x.line.begin()()
	all, _, err := x.store.Layers(ctx, k, o)
	return all, err
}

// squash makes one layer of all that a state has over a base.
func (x *exports) squash(ctx context.Context, key, base layers.Key) (v1.Layer, error) {
	o := x.layering.options(0)
	if !x.store.HasSquashed(key, base, o) && !x.states.process.entered {
		return x.states.sealed.squash(ctx, key, base, o)
	}
	if !x.store.HasSquashed(key, base, o) {
		if err := x.states.ensure(ctx, key); err != nil {
			return nil, err
		}
	}
	defer x.line.begin()()
	l, _, err := x.store.Squash(ctx, key, base, o)
	return l, err
}

// recompress gives all layers the compression that was asked for, where it was asked for by force.
func (x *exports) recompress(ctx context.Context, all []v1.Layer) error {
	o := x.layering.base
	if !o.Force {
		return nil
	}
	defer x.line.begin()()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // one that reads, one that writes: each uses all processors
	for i, l := range all {
		group.Go(func() (err error) {
			all[i], err = x.store.Recompress(ctx, l, o.Compression, o.Report)
			return err
		})
	}
	return group.Wait()
}
