// This file owns a step on its way from its recipe to its state.
// A work has few fields that change: its inputs, its names, and the number of its line. The rest is decided when it begins.

package build

import (
	"context"
	"errors"

	"github.com/gbuild/gbuild/pkg/build/reasons"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// work is one step on its way.
type work struct {
	build  *parts
	stage  *stage
	step   dockerfile.Step
	parent layers.Key // the state that it stands on
	title  string

	rerun    bool // --no-cache: a stored result does not count
	guessing bool // nothing may run: see guess.go
	in       inputs
	recipes  recipes
	number   int            // the number of its line of work; 0 while it has none
	made     *reasons.Facts // the inputs that --explain compares: see explain.go
	sawCache bool           // the RUN was given a directory that outlives it
	distrust []string       // tools whose caches are renewed: see stalecache.go
}

// begin opens the line of work of the step, if it has none yet.
func (w *work) begin() int {
	if w.number == 0 {
		w.number = w.build.events.begin(w.title)
	}
	return w.number
}

// failed ends that line with an error, unless others have said it, or the build will be done in another way.
func (w *work) failed(err error) error {
	var elsewhere *dockerfile.Error // a step that this one needs has failed, and said so
	var cache *sharedcache.Error    // the build will be done without it
	if errors.As(err, &cache) {
		return err
	}
	if errors.Is(err, ErrNeedsNamespace) || errors.Is(err, context.Canceled) || errors.As(err, &elsewhere) {
		return err
	}
	return w.build.events.fail(w.begin(), err)
}

// cached ends the line of a step that need not run.
func (w *work) cached() {
	w.build.events.report(Event{Type: Done, Step: w.begin(), Cached: true})
}

// inputs are what a step takes from elsewhere.
type inputs struct {
	content [32]byte     // the digest of what a COPY selects
	sums    [][32]byte   // one for each mount of a RUN: the digest of the files that it shows
	states  []layers.Key // likewise: the state that the mount shows
	paths   []string     // likewise: the path in that state

	claimed bool // a shared cache has said what one of the digests is
	settled bool // the files that it reads are here, so that nobody need be asked: see settle
}

// layerOptions are those of the layers of a step of the image.
func (w *work) layerOptions() layers.LayerOptions {
	return w.build.exports.layering.options(w.build.exports.layering.extra)
}
