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
	b := &Builder{Fetch: fetch, Report: func(e Event) {
		if e.Type == Warned {
			found = append(found, *e.Warning)
		}
	}}
	r := b.newRun(ctx, &Request{Plan: plan})
	r.warn(plan.Warnings)
	stages := []*dockerfile.Stage{plan.Target}
	if all {
		stages = plan.Stages
	}
	for _, s := range stages {
		if _, err := r.resolve(ctx, s); err != nil {
			return found, err
		}
	}
	return found, nil
}

// Outline returns what the target can be given: the ARGs, secrets and ssh agents of it and of the stages that it needs.
// Nothing is fetched, so the variables and the triggers of base images are not known.
func Outline(ctx context.Context, plan *dockerfile.Plan) (dockerfile.Outline, error) {
	b := &Builder{Fetch: func(context.Context, string, v1.Platform) (v1.Image, error) { return empty.Image, nil }}
	r := b.newRun(ctx, &Request{Plan: plan})
	if _, err := r.resolve(ctx, plan.Target); err != nil {
		return dockerfile.Outline{}, err
	}
	return plan.Outline(slices.Collect(maps.Keys(r.resolved))), nil
}
