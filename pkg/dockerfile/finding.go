// This file owns the data of findings of lint rules, and the ranges of lines that findings and errors are about.

package dockerfile

import (
	"bytes"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Warning is one finding of a lint rule.
type Warning struct {
	Rule, Message, URL string
	// Description says what the rule is about, whatever it has found.
	Description string `json:",omitempty"`
	Location    Location
	// Hint says that the rule is none of BuildKit's: it advises, and error=true does not count it.
	Hint bool
}

// Location is a range of lines of the Dockerfile, 1-based and inclusive. The zero value is unknown.
type Location struct{ Start, End int }

// locate is the range of lines that ranges of the parser span.
func locate(ranges []parser.Range) Location {
	var l Location
	for _, r := range ranges {
		if l.Start == 0 || r.Start.Line < l.Start {
			l.Start = r.Start.Line
		}
		l.End = max(l.End, r.End.Line)
	}
	return l
}

// clamped returns l inside the lines of the source, so that an error of the parser always points at one of them.
func (l Location) clamped(source []byte) Location {
	lines := bytes.Count(bytes.TrimSuffix(source, []byte("\n")), []byte("\n")) + 1
	l.Start = min(max(l.Start, 1), lines)
	l.End = min(max(l.End, l.Start), lines)
	return l
}
