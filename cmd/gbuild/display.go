package main

import (
	"sync"

	"golang.org/x/term"

	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// display passes Events on to the progress display, and numbers the lines of work that main itself does.
type display struct {
	drawn *progress.Display
	mu    sync.Mutex
	last  int // The number of the line of work that was begun last.
}

// newDisplay draws the progress of a command.
func newDisplay(a *app, mode progress.Mode) *display {
	tty, width := isTerminal(a.rawErr), 0
	if tty {
		width, _, _ = term.GetSize(int(a.rawErr.Fd()))
	}
	return &display{drawn: progress.New(mode, a.rawErr, tty, width)}
}

// setSource says which Dockerfile the warnings are about.
func (d *display) setSource(p *dockerfile.Plan) {
	d.drawn.SetSource(p.Name, dockerfile.RedactSource(p.Source))
}

func (d *display) handle(e build.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = max(d.last, e.Step)
	d.drawn.Handle(e)
}

func (d *display) notice(text string) { d.handle(build.Event{Type: build.Notice, Text: text}) }

// Begin opens a line of work; the function that it returns ends it.
func (d *display) Begin(title string) func(error) {
	d.mu.Lock()
	d.last++
	step := d.last
	d.mu.Unlock()
	d.handle(build.Event{Type: build.Started, Step: step, Title: title})
	return func(err error) {
		e := build.Event{Type: build.Done, Step: step}
		if err != nil {
			e.Type, e.Text = build.Failed, err.Error()
		}
		d.handle(e)
	}
}

// Progress reports the bytes of the line of work that was begun last.
func (d *display) Progress(current, total int64) {
	d.mu.Lock()
	step := d.last
	d.mu.Unlock()
	d.handle(build.Event{Type: build.Progress, Step: step, Current: current, Total: total, Text: "bytes"})
}

// close ends a display that holds nothing back.
func (d *display) close() { d.drawn.Close() }
