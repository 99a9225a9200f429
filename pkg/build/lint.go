package build

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Lint returns the warnings of a plan: of all stages, or of those that the target needs where one was named. Configs of
// base images are fetched; no step runs.
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
			return nil, err
		}
	}
	return found, nil
}
