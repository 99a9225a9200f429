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
	Step  int       `json:"step,omitempty"`  // which line of work; 0 for the build as a whole; numbers start at 1 in order of appearance
	Title string    `json:"title,omitempty"` // with Started: "[stage-1 2/5] RUN make"

	// Cached is set with Done when nothing had to run.
	Cached bool `json:"cached,omitempty"`

	Data    []byte              `json:"data,omitempty"`    // with Log: raw output, any cut
	Stderr  bool                `json:"stderr,omitempty"`  // with Log
	Current int64               `json:"current,omitempty"` // with Progress: bytes done
	Total   int64               `json:"total,omitempty"`   // with Progress: bytes in all, 0 when unknown
	Text    string              `json:"text,omitempty"`    // with Notice, Cache, Explained and Failed: one line for the user; with Progress: what is counted
	Warning *dockerfile.Warning `json:"warning,omitempty"` // with Warned
	Cache   *toolcache.Use      `json:"cache,omitempty"`   // with Cache, where it has a Step
	Result  map[string]any      `json:"result,omitempty"`  // with Finished: digest, names
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
	Cache     EventType = "cache" // what a RUN did with one of its caches; without a Step, that there is one
	Done      EventType = "done"
	Explained EventType = "explained" // why a step runs, or why not
	Failed    EventType = "failed"
	Finished  EventType = "finished" // of the whole build
)
