// This file owns the display of a command: what a build reports, and the work that commands do themselves.

package cli

import (
	"sync"

	"golang.org/x/term"

	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Display passes the Events of a build on to the progress display, and numbers the lines of work that commands add.
type Display struct {
	drawn *progress.Display
	mu    sync.Mutex
	last  int // The number of the line of work that was begun last.
}

// NewDisplay draws the progress of a command.
func NewDisplay(a *App, mode progress.Mode) *Display {
	tty, width := IsTerminal(a.RawErr), 0
	if tty {
		width, _, _ = term.GetSize(int(a.RawErr.Fd()))
	}
	return &Display{drawn: progress.New(mode, a.RawErr, tty, width)}
}

// SetSource says which Dockerfile the warnings are about.
func (d *Display) SetSource(p *dockerfile.Plan) {
	d.drawn.SetSource(p.Name, dockerfile.RedactSource(p.Source))
}

// Handle shows an Event of a build.
func (d *Display) Handle(e build.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = max(d.last, e.Step)
	d.drawn.Handle(e)
}

// Notice shows a line that belongs to no line of work.
func (d *Display) Notice(text string) { d.Handle(build.Event{Type: build.Notice, Text: text}) }

// Begin opens a line of work; the function that it returns ends it.
func (d *Display) Begin(title string) func(error) {
	d.mu.Lock()
	d.last++
	step := d.last
	d.mu.Unlock()
	d.Handle(build.Event{Type: build.Started, Step: step, Title: title})
	return func(err error) {
		e := build.Event{Type: build.Done, Step: step}
		if err != nil {
			e.Type, e.Text = build.Failed, err.Error()
		}
		d.Handle(e)
	}
}

// Progress reports the bytes of the line of work that was begun last.
func (d *Display) Progress(current, total int64) {
	d.mu.Lock()
	step := d.last
	d.mu.Unlock()
	d.Handle(build.Event{Type: build.Progress, Step: step, Current: current, Total: total, Text: "bytes"})
}

// Close ends the display. What is drawn stays.
func (d *Display) Close() { d.drawn.Close() }
