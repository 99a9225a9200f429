// This file owns the parts of one build that its steps have in common.

package build

import (
	"context"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// parts are what the steps of one build have, each for one purpose. They are many, so that each of them is small; this type
// has no behaviour.
type parts struct {
	req      *Request
	store    *layers.Store
	events   *events
	process  *process
	resolver *resolver
	sources  *sources
	names    *names
	states   *states
	exports  *exports
	indexes  *indexes
	sealed   *sealed
	caches   *sharedCaches
	runs     *runs
	crew     *crew
	stages   stages
}

// stages are the stages of a build, as a step sees them that reads some.
type stages interface {
	// expected is the state of a source, which need not be there yet. Whoever only guesses gets an error rather than that a
	// stage is run.
	expected(ctx context.Context, guessing bool, src dockerfile.Source) (layers.Key, error)
	// finish runs the stages that a step reads to their end, and says how many there are.
	finish(ctx context.Context, s dockerfile.Step) (read int, err error)
}

// close gives back what the build held.
func (p *parts) close() {
	p.runs.close()
	p.sources.contexts.close()
	p.sealed.close()
}
