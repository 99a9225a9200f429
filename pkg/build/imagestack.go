// This file owns the order of the layers of an image, and of its history.

package build

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// stack collects the layers of an image, the lowest first.
type stack struct {
	exports *exports
	sources *sources
	extra   int // layers that steps may still become beside one for each
	layers  []v1.Layer
	parts   map[int][]string // index of a step's history entry -> what is in the layers below that of the step's rest

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
		key, err := x.sources.contextKey(ctx, st.Base.Name)
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
	all, err := x.exports.layers(ctx, k)
	if err == nil && len(all)-1 > x.extra {
		all, err = x.exports.of(ctx, k, x.exports.layering.options(x.extra))
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

// enumerate names a few distributions, and counts the rest.
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

// squash puts the layers of the base image on the stack, and one of all steps, which led to a state. Of their history entries the last stands
// for it.
func (x *stack) squash(ctx context.Context, st *stage, key layers.Key) error {
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
	l, err := x.exports.squash(ctx, key, base)
	x.layers = append(x.layers, l)
	return err
}
