// This file owns the drawing as plain lines, for logs, and how a build ends in words.

package progress

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/gbuild/gbuild/pkg/build"
)

// progressEvery is how often plain says how far a transfer is.
const progressEvery = 5 * time.Second

// plainDrawer writes lines as BuildKit's plain progress does: each carries the number of its step, and where the
// output of steps is mixed, the title is repeated.
type plainDrawer struct {
	w      io.Writer
	source *source
	last   *step // The lines of this step were written last.
}

// event writes what is said of the build as a whole; step writes all else.
func (p *plainDrawer) event(e build.Event, s *step, lines []string) {
	if s != nil {
		p.step(e, s, lines)
		return
	}
	switch e.Type {
	case build.Notice, build.Cache:
		fmt.Fprintf(p.w, "gbuild: %s\n", clean(e.Text))
	case build.Warned:
		p.warn(e)
	case build.Finished:
		writeResult(p.w, e.Result)
	}
}

// step writes what became of one step.
func (p *plainDrawer) step(e build.Event, s *step, lines []string) {
	p.logs(e, s, lines)
	switch e.Type {
	case build.Started:
		p.turnTo(s)
	case build.Progress:
		p.progress(e, s)
	case build.Notice, build.Cache, build.Explained:
		p.line(s, clean(e.Text))
	case build.Warned:
		p.warn(e)
	case build.Done:
		if e.Cached {
			p.line(s, "CACHED")
			return
		}
		p.line(s, "DONE "+seconds(e.Time.Sub(s.start), 1)+"s")
	case build.Failed:
		p.line(s, "ERROR: "+clean(e.Text))
	}
}

// logs writes output, each line with the time since the step began, as BuildKit does.
func (p *plainDrawer) logs(e build.Event, s *step, lines []string) {
	for _, line := range lines {
		p.line(s, seconds(e.Time.Sub(s.start), 3)+" "+line)
	}
}

// progress says how far s is: now and then, and when all is there.
func (p *plainDrawer) progress(e build.Event, s *step) {
	if s.shown.IsZero() {
		s.shown = s.start
	}
	complete := s.total > 0 && s.current >= s.total
	if complete && s.complete {
		return
	}
	s.complete = complete
	if !complete && e.Time.Sub(s.shown) < progressEvery {
		return
	}
	s.shown = e.Time
	p.line(s, s.progress()+" "+seconds(e.Time.Sub(s.start), 1)+"s")
}

// line writes a line of a step. The number in front lets a reader find the title.
func (p *plainDrawer) line(s *step, text string) {
	p.turnTo(s)
	fmt.Fprintf(p.w, "#%d %s\n", s.number, text)
}

// turnTo writes the title of s unless the line before was its own.
func (p *plainDrawer) turnTo(s *step) {
	if p.last == s {
		return
	}
	p.leave()
	fmt.Fprintf(p.w, "#%d %s\n", s.number, s.title)
	p.last = s
}

// leave ends the block of the step that was written last.
func (p *plainDrawer) leave() {
	if p.last != nil && !p.last.ended {
		fmt.Fprintf(p.w, "#%d ...\n", p.last.number)
	}
	if p.last != nil {
		fmt.Fprintln(p.w)
	}
	p.last = nil
}

// warn writes a warning between the blocks of steps.
func (p *plainDrawer) warn(e build.Event) {
	if e.Warning != nil {
		p.leave()
		p.source.writeWarning(p.w, e)
	}
}

// close has nothing to do: each line was written when it was there.
func (p *plainDrawer) close() {}

// writeResult writes what the build ended with: "digest: sha256:…", "names: a, b".
func writeResult(w io.Writer, result map[string]any) {
	keys := make([]string, 0, len(result))
	for key := range result {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		text := fmt.Sprint(result[key])
		if list, ok := result[key].([]string); ok {
			text = strings.Join(list, ", ")
		}
		if text != "" {
			fmt.Fprintf(w, "%s: %s\n", key, clean(text))
		}
	}
}
