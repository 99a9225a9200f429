// This file owns what the RUNs of one build share.

package build

import (
	"context"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/network"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// runs are what the RUNs of one build share.
type runs struct {
	exec     func(context.Context, *runtime.Sandbox) error
	weak     func() bool                                                             // may be nil
	inject   func(ctx context.Context, names, env []string) ([]runtime.Edits, error) // may be nil
	tools    *toolcache.Build                                                        // set when the stages are resolved
	scratch  *scratch
	networks network.Pool
}

// newRuns begins without caches: they depend on what the Dockerfile reads.
func newRuns(b *Builder) *runs {
	return &runs{exec: b.Exec, weak: b.Weak, inject: b.Inject, scratch: &scratch{store: b.Store, memory: b.Memory}}
}

// close ends the networks, and what was never to reach a disk.
func (r *runs) close() {
	r.scratch.close()
	r.networks.Close()
}
