// This file owns errors about a Dockerfile: where they are, what they show of the text, and how errors of BuildKit's packages
// become such.

package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/util/suggest"

	"github.com/gbuild/gbuild/internal/hint"
)

// Error is something wrong with a Dockerfile, or with what an option makes of it.
type Error struct {
	File     string
	Source   []byte
	Location // zero where no line is to blame, as for an unknown target
	Cause    error
	HintText string
	Warnings []Warning // the findings of Parse before the error
}

// Error names the file, the first line and the cause, without the credentials of an address that this quotes.
func (e *Error) Error() string {
	if e.Start == 0 {
		return Redact(fmt.Sprintf("%s: %v", e.File, e.Cause))
	}
	return Redact(fmt.Sprintf("%s:%d: %v", e.File, e.Start, e.Cause))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Hint says what the user can do; empty: nothing that is not in the message.
func (e *Error) Hint() string { return e.HintText }

// around is how many lines an excerpt shows before and after the culprit.
const around = 2

// Excerpt returns the lines of the Dockerfile around the error, each with its number and the culprits marked ">>>".
// It is empty where the location is unknown, and says no credentials.
func (e *Error) Excerpt() string {
	lines := bytes.Split(bytes.TrimSuffix(e.Source, []byte("\n")), []byte("\n"))
	if e.Start == 0 || e.Start > len(lines) {
		return ""
	}
	first, last := max(1, e.Start-around), min(len(lines), e.End+around)
	width := len(fmt.Sprint(last))
	var b strings.Builder
	for n := first; n <= last; n++ {
		mark := "   "
		if n >= e.Start && n <= e.End {
			mark = ">>>"
		}
		text := Redact(strings.TrimRight(string(lines[n-1]), "\r\n"))
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("%*d | %s %s", width, n, mark, text), " "))
	}
	return b.String()
}

// fail makes an *Error of err. The location is the one that BuildKit's packages put into err, else ranges.
func (p *Plan) fail(err error, ranges []parser.Range) *Error {
	var done *Error
	if errors.As(err, &done) {
		return done
	}
	e := &Error{File: p.Name, Source: p.Source, Location: locate(ranges), Cause: unprotected(err)}
	var located *parser.LocationError
	if errors.As(err, &located) {
		// The error inside says what is wrong; those around it repeat the line number, which is counted from 0 in
		// some of them.
		e.Cause = unprotected(located.Unwrap())
		if e.Location == (Location{}) && len(located.Locations) > 0 {
			e.Location = locate(located.Locations[0])
		}
	}
	var unknown *instructions.UnknownInstructionError
	if errors.As(err, &unknown) {
		e.Cause = unknownInstruction(unknown)
		err = e.Cause
	}
	e.HintText = hint.Of(err)
	return e
}

// unknownInstruction names the nearest instruction, or the usual reason why there is none.
func unknownInstruction(e *instructions.UnknownInstructionError) error {
	names := slices.Sorted(maps.Keys(command.Commands))
	near, err := suggest.WrapErrorMaybe(e, e.Instruction, names, false)
	if near && strings.ToUpper(e.Instruction) == e.Instruction {
		return err
	}
	return hint.Wrap(err, `if it belongs to the command above, that line must end in a backslash`)
}

// errUnlocated is in the chain of errors about options, for which no line of the Dockerfile is to blame.
var errUnlocated = errors.New("option")

// optionError is an error about an option.
type optionError struct{ error }

func (e optionError) Unwrap() error { return e.error }

func (optionError) Is(target error) bool { return target == errUnlocated }
