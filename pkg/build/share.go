// This file owns what of a step is written to shared caches.

package build

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers"
)

// share writes the result of a step to the caches that are to have it, beside the steps that follow.
func (w *work) share(ctx context.Context, out layers.Key) {
	caches := w.walker.caches
	for _, c := range caches.to {
		if !c.All && !w.stage.exported {
			continue
		}
		id := w.walker.names.identityOf(out)
		caches.write(ctx, c, c.tag(sharedStep, id.recipe), id.nonce, func() ([]v1.Layer, error) { return w.layers(ctx, out) })
	}
	if len(caches.to) > 0 && bringsFiles(w.step) && w.unread(bringsFiles) && !(isLinked(w.step) && w.unread(isLinked)) {
		w.walker.indexes.share(ctx, w.parent)
	}
}

// layers makes the layers of the state that the step led to.
func (w *work) layers(ctx context.Context, out layers.Key) ([]v1.Layer, error) {
	if w.stage.exported {
		return w.walker.exports.layers(ctx, out)
	}
	o := w.layerOptions()
	o.Aside = true
	return w.walker.exports.of(ctx, out, o)
}
