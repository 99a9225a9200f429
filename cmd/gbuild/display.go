package main

import (
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// holdBack is how long a process that may yet enter a namespace keeps its Events to itself: a build that goes on in the
// namespace then reports there, once.
const holdBack = 250 * time.Millisecond

// display passes Events on to the progress display, and numbers the lines of work that main itself does.
type display struct {
	drawn   *progress.Display
	mu      sync.Mutex
	held    []build.Event
	holding bool
	timer   *time.Timer
	last    int
	told    told       // while another process may go on
	before  *retelling // nil where no process has shown anything
}

// newDisplay draws a build. In the namespace, what is shown stays; before that it is held back for a while.
func newDisplay(a *app, mode progress.Mode, entered bool) *display {
	d := plainDisplay(a, mode)
	d.holding = !entered
	if len(a.handed.Told.Lines)+len(a.handed.Told.Texts) > 0 {
		d.before = newRetelling(a.handed.Told)
	}
	if d.holding {
		d.timer = time.AfterFunc(holdBack, d.release)
	}
	return d
}

// plainDisplay draws the progress of commands that build nothing.
func plainDisplay(a *app, mode progress.Mode) *display {
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
	if d.holding {
		e.Time = time.Now()
		d.held = append(d.held, e)
		return
	}
	d.show(e)
}

// show passes an Event on that was not held back, unless an earlier process did.
func (d *display) show(e build.Event) {
	if d.before == nil {
		d.told.add(e)
		d.drawn.Handle(e)
		return
	}
	events, resumed := d.before.filter(e)
	for _, e := range events {
		if resumed {
			d.drawn.Resume(e)
		} else {
			d.drawn.Handle(e)
		}
	}
}

func (d *display) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holding = false
	for _, e := range d.held {
		d.show(e)
	}
	d.held = nil
}

// end shows what was held back, unless the build goes on elsewhere, and says whether all was shown.
func (d *display) end(err error) bool {
	if d.timer != nil {
		d.timer.Stop()
	}
	if err != build.ErrNeedsNamespace {
		d.release()
	}
	d.drawn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.holding
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
