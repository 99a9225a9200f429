package build

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Lint returns the warnings of a plan's stages that its target needs. Configs of base images are fetched; no step runs.
func Lint(ctx context.Context, plan *dockerfile.Plan, fetch func(context.Context, string, v1.Platform) (v1.Image, error)) ([]dockerfile.Warning, error) {
	var found []dockerfile.Warning
	b := &Builder{Fetch: fetch, Report: func(e Event) {
		if e.Type == Warned {
			found = append(found, *e.Warning)
		}
	}}
	r := b.newRun(&Request{Plan: plan})
	r.warn(plan.Warnings)
	_, err := r.resolve(ctx, plan.Target)
	return found, err
}
