package build

import (
	"sync"
	"time"
)

// exportingAfter is how long layers are made before that is worth a line.
const exportingAfter = time.Second

// exporting is the line of work of the layers that are made, all of those that are made at a time.
type exporting struct {
	mu      sync.Mutex
	running int
	since   time.Time
	bytes   int64
	line    int // 0 while it is not shown
}

// exports begins to make layers; the function that it returns ends it.
func (r *run) exports() func() {
	x := &r.exporting
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running++; x.running == 1 {
		x.since, x.bytes, x.line = time.Now(), 0, 0
	}
	return r.exported
}

func (r *run) exported() {
	x := &r.exporting
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running--; x.running == 0 && x.line != 0 {
		r.report(Event{Type: Done, Step: x.line})
	}
}

// packed is told of bytes of layers that were compressed.
func (r *run) packed(bytes int) {
	x := &r.exporting
	x.mu.Lock()
	defer x.mu.Unlock()
	x.bytes += int64(bytes)
	if x.line == 0 {
		if time.Since(x.since) < exportingAfter {
			return
		}
		x.line = r.beginAt("exporting layers", x.since)
	}
	r.progress(x.line, x.bytes, 0)
}
