// This file owns how many steps run at a time.

package build

import (
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/gbuild/gbuild/internal/tasks"
	"github.com/gbuild/gbuild/pkg/layers"
)

// crew are the steps that run.
type crew struct {
	slots    *semaphore.Weighted
	executed atomic.Int64

	steps tasks.Once[layers.Key, layers.Key] // keyed by the recipe: identical steps run once
}

// newCrew lets so many steps run at once, two where nothing is asked for, or one after the other.
func newCrew(jobs int, serial bool, t *tasks.Group) *crew {
	switch {
	case serial:
		jobs = 1
	case jobs <= 0:
		jobs = 2
	}
	return &crew{slots: semaphore.NewWeighted(int64(jobs)), steps: tasks.Once[layers.Key, layers.Key]{Tasks: t}}
}
