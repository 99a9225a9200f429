// This file owns how long ago a RUN ran, for builds in which that matters: what it fetched may be out of date by then.

package build

import (
	"strconv"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// recordMade is the kind of the records that say when a RUN led to a state, in Unix seconds.
const recordMade = "made"

// isOld says whether a RUN led to a state longer ago than this build accepts. What ran in a build that did not ask for ages is
// taken for old: nobody knows better.
func (w *work) isOld(state layers.Key) bool {
	if _, runs := w.step.(*dockerfile.Run); !runs || w.build.req.MaxAge == 0 {
		return false
	}
	if im := w.build.states.importOf(state); im != nil && im.cache != "" {
		return false // the cache that it came from has judged it
	}
	v, _ := w.build.store.Recall(recordMade, state)
	at, err := strconv.ParseInt(string(v), 10, 64)
	return err != nil || time.Since(time.Unix(at, 0)) > w.build.req.MaxAge
}

// keepAge notes when the RUN led to a state.
func (w *work) keepAge(state layers.Key) error {
	if _, runs := w.step.(*dockerfile.Run); !runs || w.build.req.MaxAge == 0 {
		return nil
	}
	return w.build.store.Remember(recordMade, state, strconv.AppendInt(nil, time.Now().Unix(), 10))
}
