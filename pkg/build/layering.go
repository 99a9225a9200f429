// This file owns which layers an image is to have.

package build

import (
	"fmt"
	"slices"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// Layering says what the layers of an image are.
type Layering int

// The ways of Layering.
const (
	SplitLayers Layering = iota // a step that installed large Python distributions becomes several layers, any other one
	StepLayers                  // each step becomes one
	OneLayer                    // all steps together become one
)

// ParseLayering reads the value of --layers.
func ParseLayering(text string) (Layering, error) {
	i := slices.Index([]string{"auto", "per-step", "squash"}, text)
	if i < 0 {
		return 0, fmt.Errorf("unknown layers %q: auto, per-step or squash", text)
	}
	return Layering(i), nil
}

// maxLayers is how many layers an image gets by splitting: Docker mounts 128 at most, and images are built upon.
const maxLayers = 120

// layerPlan is what is wanted of the layers of one build.
type layerPlan struct {
	way   Layering
	none  bool // nobody wants an image
	extra int  // how many layers the steps of the image may become beside one for each
	base  layers.LayerOptions
}

// setExtra counts the layers of the image that are not to be divided.
func (p *layerPlan) setExtra(target *stage) {
	if p.way != SplitLayers {
		return
	}
	n := maxLayers
	for st := target; st != nil; st = st.parent {
		n -= len(st.steps)
		if st.base != nil {
			n -= len(st.base.layers)
		}
	}
	p.extra = max(n, 0)
}

// wants says whether the states of a stage get layers while the steps that follow are walked.
func (p *layerPlan) wants(st *stage) bool { return st.exported && !p.none && p.way != OneLayer }

// options are those of the layers of a step, which may become so many more than one.
func (p *layerPlan) options(extra int) layers.LayerOptions {
	o := p.base
	o.Max = min(1+extra, split.MaxLayers)
	return o
}
