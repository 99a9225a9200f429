// This file owns what a build says of itself.

package build

import (
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// Event is what a build reports while it runs. Displays draw Events and know nothing else.
type Event struct {
	Time  time.Time `json:"time"`
	Type  EventType `json:"type"`
	Step  int       `json:"step,omitempty"`  // the number of the line of work: 1 is the first that appeared, 0 the build as a whole
	Title string    `json:"title,omitempty"` // set with Started: "[stage-1 2/5] RUN make"

	// Cached is set with Done when nothing had to run.
	Cached bool `json:"cached,omitempty"`

	Data    []byte              `json:"data,omitempty"`    // set with Log: raw output, which may be cut anywhere, also within a character
	Stderr  bool                `json:"stderr,omitempty"`  // set with Log: Data came from standard error
	Current int64               `json:"current,omitempty"` // set with Progress: bytes done
	Total   int64               `json:"total,omitempty"`   // set with Progress: bytes in all, 0 when unknown
	Text    string              `json:"text,omitempty"`    // set with Notice, Cache, Explained and Failed: one line for the user; set with Progress: the name of what is counted
	Warning *dockerfile.Warning `json:"warning,omitempty"` // set with Warned
	Cache   *toolcache.Use      `json:"cache,omitempty"`   // set with Cache, if the event has a Step
	Result  map[string]any      `json:"result,omitempty"`  // set with Finished: digest, names
}

// EventType says what an Event tells.
type EventType string

// The types of Event.
const (
	Started   EventType = "started"
	Log       EventType = "log"
	Progress  EventType = "progress"
	Notice    EventType = "notice"
	Warned    EventType = "warning"
	Cache     EventType = "cache" // tells how a RUN used one of its caches; without a Step, that there is a cache
	Done      EventType = "done"
	Explained EventType = "explained" // says why a step runs, or why not
	Failed    EventType = "failed"
	Finished  EventType = "finished" // ends the whole build
)
