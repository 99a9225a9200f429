// This file owns the reporting of what a build does.
// Events are reported one at a time, whichever goroutine they come from.

package build

import (
	"sync"
	"sync/atomic"
	"time"
)

// lines are the lines of work of all builds of a process.
type lines struct {
	mu      sync.Mutex // held while an event is reported
	numbers atomic.Int64
}

// events reports what one build does, an event at a time.
type events struct {
	to    func(Event) // nil: nobody wants to know
	lines *lines
}

// report passes an event on, with the time of now where it has none. Displays need not lock.
func (v *events) report(e Event) {
	if v.to == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	v.lines.mu.Lock()
	defer v.lines.mu.Unlock()
	v.to(e)
}

// begin opens a line of work and returns its number.
func (v *events) begin(title string) int { return v.beginAt(title, time.Now()) }

// beginAt opens a line of work that began a while ago.
func (v *events) beginAt(title string, at time.Time) int {
	n := int(v.lines.numbers.Add(1))
	v.report(Event{Type: Started, Step: n, Title: title, Time: at})
	return n
}

// progress says how many bytes of a line of work are done; total is 0 where that is unknown.
func (v *events) progress(n int, done, total int64) {
	v.report(Event{Type: Progress, Step: n, Current: done, Total: total, Text: "bytes"})
}

// done ends a line of work.
func (v *events) done(n int) { v.report(Event{Type: Done, Step: n}) }

// fail ends a line of work with an error, which it returns.
func (v *events) fail(n int, err error) error {
	v.report(Event{Type: Failed, Step: n, Text: err.Error()})
	return err
}

// notice says something to the user: of a line of work, or, where n is 0, of the build.
func (v *events) notice(n int, text string) { v.report(Event{Type: Notice, Step: n, Text: text}) }
