// This file owns what the RUNs of one build share.

package build

import (
	"context"

	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// runs are what the RUNs of one build share.
type runs struct {
	exec     func(context.Context, *runtime.Sandbox) error
	inject   func(ctx context.Context, names, env []string) ([]runtime.Edits, error) // may be nil
	caches   *pipcache.Caches
	scratch  *scratch
	networks network.Pool

	emptied once[string, struct{}]          // caches that --no-cache-mounts removes, by their id
	bodies  once[*pipcache.Lease, struct{}] // what pip has fetched is looked at for other scopes
}

func newRuns(b *Builder, t *tasks) *runs {
	return &runs{exec: b.Exec, inject: b.Inject, caches: b.Caches, scratch: &scratch{store: b.Store},
		emptied: once[string, struct{}]{tasks: t}, bodies: once[*pipcache.Lease, struct{}]{tasks: t}}
}

func (r *runs) close() {
	r.scratch.close()
	r.networks.Close()
}
