// Package progress draws the Events of a build: as a small window on a terminal, as plain lines for a log, as JSON for
// a program, or not at all. It knows Events and nothing else of a build.
//
// What a step prints is foreign text. It is shown without control characters and without the commands that CI systems
// read from logs, and a line without end costs no more memory than a long one.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gbuild/gbuild/pkg/build"
)

// Mode says how Events are drawn.
type Mode string

// The modes, by the names that --progress has for them.
const (
	Auto  Mode = "auto" // This is TTY on a terminal, else Plain.
	TTY   Mode = "tty"
	Plain Mode = "plain"
	JSON  Mode = "json"  // One line is one Event.
	Quiet Mode = "quiet" // Only notices are shown, and the last lines of a step that failed.
)

// ParseMode returns the mode of a name; the empty name is Auto.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case "":
		return Auto, nil
	case Auto, TTY, Plain, JSON, Quiet:
		return m, nil
	}
	return "", fmt.Errorf("unknown progress %q: it is one of auto, tty, plain, json, quiet", name)
}

// Display draws Events. Its methods may be called by several goroutines.
type Display struct {
	mu     sync.Mutex
	steps  map[int]*step // These have begun and not ended.
	failed []*step       // The last lines of these are shown at the end.
	draw   drawer
	source source
	out    io.Writer
}

// drawer is one way of drawing. All calls are made under the lock of the Display.
type drawer interface {
	// event draws e; s is the step that it belongs to, nil for the build as a whole; lines are the whole lines of
	// output that it completed.
	event(e build.Event, s *step, lines []string)
	close()
}

// New returns a Display that writes to w. isTTY says whether w is a terminal, width how many columns that has (0: 80).
func New(mode Mode, w io.Writer, isTTY bool, width int) *Display {
	d := &Display{steps: map[int]*step{}, out: w}
	if mode == Auto && isTTY {
		mode = TTY
	}
	switch mode {
	case TTY:
		d.draw = newTTY(d, width)
	case JSON:
		d.draw = jsonDrawer{w}
	case Quiet:
		d.draw = quietDrawer{w}
	default:
		d.draw = &plainDrawer{w: w, source: &d.source}
	}
	return d
}

// SetSource gives the Dockerfile whose lines are shown with a warning. Without it a warning names the line only.
func (d *Display) SetSource(name string, text []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.source = source{name, text}
}

// Handle draws e. An Event without a time gets the present one.
func (d *Display) Handle(e build.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	s, lines := d.track(e)
	d.draw.event(e, s, lines)
}

// Close ends the drawing and shows once more what a failed step printed last.
func (d *Display) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draw.close()
	if _, program := d.draw.(jsonDrawer); program {
		return // It has had the lines as Events.
	}
	for _, s := range d.failed {
		writeTail(d.out, s)
	}
	d.failed = nil
}

// track keeps the state of the step of e and returns it with the lines that e completed.
func (d *Display) track(e build.Event) (*step, []string) {
	if e.Step == 0 {
		return nil, nil
	}
	s := d.steps[e.Step]
	if s == nil {
		s = &step{number: e.Step, start: e.Time}
		d.steps[e.Step] = s
	}
	switch e.Type {
	case build.Started:
		s.title, s.start = clean(e.Title), e.Time
	case build.Log:
		return s, s.log(e.Data, e.Stderr)
	case build.Progress:
		s.current, s.total, s.counted = e.Current, e.Total, clean(e.Text)
	case build.Done, build.Failed:
		delete(d.steps, e.Step)
		if s.ended = true; e.Type == build.Failed {
			d.failed = append(d.failed, s)
		}
		return s, s.flush()
	}
	return s, nil
}

// writeTail shows what a step printed last.
func writeTail(w io.Writer, s *step) {
	if len(s.tail) == 0 {
		return
	}
	fmt.Fprintf(w, "------\n > %s:\n", s.title)
	for _, line := range s.tail {
		fmt.Fprintln(w, cut(line, tailColumns))
	}
	fmt.Fprintln(w, "------")
}

// jsonDrawer writes each Event as a line. A program that reads them knows all that a display knows.
type jsonDrawer struct{ w io.Writer }

func (j jsonDrawer) event(e build.Event, _ *step, _ []string) {
	if text, err := json.Marshal(e); err == nil {
		_, _ = j.w.Write(append(EscapeJSON(text), '\n')) // A reader that has gone stops no build.
	}
}

func (j jsonDrawer) close() {}

// quietDrawer writes next to nothing; what failed is shown when the Display is closed.
type quietDrawer struct{ w io.Writer }

func (q quietDrawer) event(e build.Event, _ *step, _ []string) {
	if e.Type == build.Notice { // What the host lacks is said in every mode.
		fmt.Fprintf(q.w, "gbuild: %s\n", clean(e.Text))
	}
}

func (q quietDrawer) close() {}
