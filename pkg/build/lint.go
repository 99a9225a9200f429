// This file owns what can be said of a plan before it is built.

package build

import (
	"context"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Lint returns the warnings of a plan: of all stages, or of those that the target needs where one was named; with an
// error those that were found before it. Configs of base images are fetched; no step runs.
func Lint(ctx context.Context, plan *dockerfile.Plan, all bool, fetch func(context.Context, string, v1.Platform) (v1.Image, error)) ([]dockerfile.Warning, error) {
	var found []dockerfile.Warning
	r := newResolver(ctx, plan, fetch, func(e Event) {
		if e.Type == Warned {
			found = append(found, *e.Warning)
		}
	})
	r.warn(plan.Warnings)
	stages := []*dockerfile.Stage{plan.Target}
	if all {
		stages = plan.Stages
	}
	for _, s := range stages {
		if _, err := r.resolve(s); err != nil {
			return found, err
		}
	}
	return found, nil
}

// newResolver resolves without a store: nothing can run.
func newResolver(ctx context.Context, plan *dockerfile.Plan, fetch func(context.Context, string, v1.Platform) (v1.Image, error), report func(Event)) *resolver {
	v := &events{to: report, lines: &lines{}}
	return &resolver{plan: plan, events: v, bases: &bases{find: fetch, outer: ctx, stages: stageNames(plan), events: v}}
}

// Outline returns what the target can be given: the ARGs, secrets and ssh agents of it and of the stages that it needs.
// Nothing is fetched, so the variables and the triggers of base images are not known.
func Outline(ctx context.Context, plan *dockerfile.Plan) (dockerfile.Outline, error) {
	nothing := func(context.Context, string, v1.Platform) (v1.Image, error) { return empty.Image, nil }
	r := newResolver(ctx, plan, nothing, nil)
	if _, err := r.resolve(plan.Target); err != nil {
		return dockerfile.Outline{}, err
	}
	return plan.Outline(slices.Collect(maps.Keys(r.stages))), nil
}
