// This file owns the drawing on a terminal: what has ended is written once, and a small window below shows what runs.

package progress

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gbuild/gbuild/pkg/build"
)

const (
	// The window shows so many of the running steps.
	windowSteps = 6

	// The window has so many lines: a terminal has at least 24.
	windowLines = 14

	redrawEvery = 150 * time.Millisecond
)

// ttyDrawer writes each ended step once and keeps a small window of the running ones below. Only the window is ever
// drawn again, so the terminal's own history stays whole.
type ttyDrawer struct {
	d      *Display
	w      io.Writer
	width  int
	begun  time.Time
	drawn  int      // The window has so many lines on the screen.
	above  []string // These lines go above the window at the next drawing.
	warned []build.Event
	result map[string]any
	now    func() time.Time
	stop   chan struct{}
	done   chan struct{}
}

// newTTY starts a drawer that also redraws by itself, so that the seconds go on while nothing happens.
func newTTY(d *Display, width int) *ttyDrawer {
	if width <= 0 {
		width = 80
	}
	t := &ttyDrawer{d: d, w: d.out, width: width, now: time.Now, stop: make(chan struct{}), done: make(chan struct{})}
	go t.tick()
	return t
}

// tick draws again and again until close.
func (t *ttyDrawer) tick() {
	defer close(t.done)
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
			t.d.mu.Lock()
			t.redraw()
			t.d.mu.Unlock()
		}
	}
}

// event keeps what is to be drawn next time. Nothing is written here, so that many Events cost one drawing.
func (t *ttyDrawer) event(e build.Event, s *step, _ []string) {
	if t.begun.IsZero() {
		t.begun = e.Time
	}
	switch e.Type {
	case build.Done:
		t.above = append(t.above, t.ended(e, s))
	case build.Failed:
		if s != nil {
			t.above = append(t.above, t.row(" => ERROR "+s.title, seconds(e.Time.Sub(s.start), 1)+"s"))
		}
	case build.Notice:
		t.above = append(t.above, "gbuild: "+clean(e.Text))
	case build.Cache, build.Explained:
		if s == nil {
			t.above = append(t.above, "gbuild: "+clean(e.Text))
			return
		}
		t.above = append(t.above, t.row(" =>   "+clean(e.Text), ""))
	case build.Warned:
		t.warned = append(t.warned, e)
	case build.Finished:
		t.result = e.Result
	}
}

// ended is the line that stays of a step.
func (t *ttyDrawer) ended(e build.Event, s *step) string {
	if s == nil {
		return ""
	}
	if e.Cached {
		return t.row(" => CACHED "+s.title, seconds(0, 1)+"s")
	}
	return t.row(" => "+s.title, seconds(e.Time.Sub(s.start), 1)+"s")
}

// row sets right at the right edge of a line that is filled by left.
func (t *ttyDrawer) row(left, right string) string {
	left = cut(left, max(t.width-len(right)-2, 10))
	return left + strings.Repeat(" ", max(1, t.width-1-columns(left)-len(right))) + right
}

// redraw goes back to the top of the window, clears from there, and writes anew: in one write, against flicker.
func (t *ttyDrawer) redraw() {
	window := t.window()
	if len(window) == 0 && len(t.above) == 0 && t.drawn == 0 {
		return
	}
	var b bytes.Buffer
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", t.drawn)
	}
	b.WriteString("\x1b[J")
	for _, line := range append(t.above, window...) {
		b.WriteString(line + "\n")
	}
	t.above, t.drawn = nil, len(window)
	_, _ = t.w.Write(b.Bytes()) // A terminal that has gone stops no build.
}

// window is the running steps, the oldest first, each with its last lines as far as there is room.
func (t *ttyDrawer) window() []string {
	running := make([]*step, 0, len(t.d.steps))
	for _, s := range t.d.steps {
		running = append(running, s)
	}
	if len(running) == 0 {
		return nil
	}
	slices.SortFunc(running, func(a, b *step) int { return a.number - b.number })
	now := t.now()
	lines := []string{t.row(fmt.Sprintf("[+] building, %d running", len(running)), seconds(now.Sub(t.begun), 1)+"s")}
	shown := running[:min(len(running), windowSteps)]
	room := (windowLines - len(shown)) / len(shown)
	for _, s := range shown {
		lines = append(lines, t.row(" => "+title(s), seconds(now.Sub(s.start), 1)+"s"))
		for _, text := range s.tail[max(0, len(s.tail)-room):] {
			lines = append(lines, cut(" => => # "+text, t.width-1))
		}
	}
	if n := len(running) - len(shown); n > 0 {
		lines = append(lines, fmt.Sprintf(" => and %d more", n))
	}
	return lines
}

// title is that of a running step, with how far it is.
func title(s *step) string {
	if p := s.progress(); p != "" {
		return s.title + " " + p
	}
	return s.title
}

// close writes what is left and leaves the cursor below it. It is called under the lock, which tick may wait for.
func (t *ttyDrawer) close() {
	select {
	case <-t.stop:
		return
	default:
	}
	close(t.stop)
	t.d.mu.Unlock()
	<-t.done
	t.d.mu.Lock()
	clear(t.d.steps) // What was running was stopped; its window goes.
	t.redraw()
	for _, e := range t.warned {
		t.d.source.writeWarning(t.w, e)
	}
	writeResult(t.w, t.result)
}
