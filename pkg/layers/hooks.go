// What a store asks of others. The parts of a store share one Hooks, so that it may be set after the store was opened.

package layers

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/growing"
)

// Hooks are what a store asks of those who use it. They are set before the store is used.
type Hooks struct {
	// Fetch gets a layer that an image of this store refers to, but whose bytes are not here, from the source that was
	// recorded for it. Without it such a layer cannot be read.
	Fetch func(ctx context.Context, source string, d v1.Descriptor) (v1.Layer, error)
	// Sending, if set, is given each blob of a layer that is made here: one that is large while it still grows, another
	// when it is whole. It must not wait.
	Sending func(*growing.Blob)
	// Copies says that nothing may be mounted: this process has no mount namespace of its own.
	Copies bool
	// Notice, if set, is told what was left out of a layer and why, once for each kind of thing.
	Notice func(text string)
}

func (h *Hooks) notice(text string) {
	if h.Notice != nil {
		h.Notice(text)
	}
}
