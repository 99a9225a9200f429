// This file owns the line of work of layers that are made, which is shown where they take long.

package build

import (
	"sync"
	"time"
)

// exportingAfter is how long layers are made before that is worth a line.
const exportingAfter = time.Second

// exporting is one line for all layers that are made at a time.
type exporting struct {
	events *events

	mu      sync.Mutex
	running int
	since   time.Time
	bytes   int64
	line    int // 0 while it is not shown
}

// begin begins to make layers; the function that it returns ends it.
func (x *exporting) begin() (end func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running++; x.running == 1 {
		x.since, x.bytes, x.line = time.Now(), 0, 0
	}
	return x.end
}

// end ends the line with the last of those that make layers.
func (x *exporting) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running--; x.running == 0 && x.line != 0 {
		x.events.done(x.line)
	}
}

// packed is told of bytes of layers that were compressed.
func (x *exporting) packed(bytes int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.bytes += int64(bytes)
	if x.line == 0 {
		if time.Since(x.since) < exportingAfter {
			return
		}
		x.line = x.events.beginAt("exporting layers", x.since)
	}
	x.events.progress(x.line, x.bytes, 0)
}
