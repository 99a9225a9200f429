// This file owns how warnings are shown, with the lines of the Dockerfile that they are about.

package progress

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/pkg/build"
)

// rule is the line above and below an excerpt, as BuildKit draws it.
const rule = "--------------------"

// contextLines is how many lines are shown before and after those that a warning is about.
const contextLines = 2

// source is the Dockerfile that warnings point into.
type source struct {
	name string
	text []byte
}

// writeWarning writes the warning of e as docker buildx prints the findings of --check: rule and message, the place,
// and the lines there with ">>>" at the culprit. What gbuild only advises is called a hint.
func (s *source) writeWarning(w io.Writer, e build.Event) {
	found, word := e.Warning, "WARNING"
	if found.Hint {
		word = "HINT"
	}
	fmt.Fprintf(w, "%s: %s - %s\n", word, clean(found.Rule), clean(found.Message))
	if found.URL != "" {
		fmt.Fprintln(w, clean(found.URL))
	}
	if found.Location.Start > 0 {
		fmt.Fprintf(w, "%s:%d\n", s.base(), found.Location.Start)
		s.writeExcerpt(w, found.Location.Start, found.Location.End)
	}
	fmt.Fprintln(w)
}

// base is the name of the file as messages have it, without its directory.
func (s *source) base() string {
	if s.name == "" {
		return "Dockerfile"
	}
	return clean(filepath.Base(s.name))
}

// writeExcerpt writes the lines from start to end, and some around them.
func (s *source) writeExcerpt(w io.Writer, start, end int) {
	lines := strings.Split(strings.TrimSuffix(string(s.text), "\n"), "\n")
	if len(s.text) == 0 || start > len(lines) {
		return
	}
	end = max(start, end)
	fmt.Fprintln(w, rule)
	for i := max(1, start-contextLines); i <= min(len(lines), end+contextLines); i++ {
		mark := "   "
		if i >= start && i <= end {
			mark = ">>>"
		}
		fmt.Fprintf(w, "%4d | %s %s\n", i, mark, clean(lines[i-1]))
	}
	fmt.Fprintln(w, rule)
}

// WriteWarning writes one finding of a lint rule as every display does. name and text are the Dockerfile's.
func WriteWarning(w io.Writer, name string, text []byte, e build.Event) {
	if e.Warning != nil {
		(&source{name, text}).writeWarning(w, e)
	}
}
