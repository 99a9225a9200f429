// This file owns what makes foreign text fit to be shown, and the writer that does so with all that passes through it.

package progress

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// clean makes foreign text one line that is fit to be shown: see plain.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		return r
	}, plain(s))
}

// plain removes from a line of foreign text all that a terminal or a CI system would act on: escape sequences and other
// control characters, what reorders text or cannot be seen, and the commands that are read from logs (GitHub's
// ::set-output:: and ##[…], Azure's ##vso[…], TeamCity's ##teamcity[…]). GitLab's section_start: needs the escape
// sequence and the carriage return after it. plain leaves its own results as they are.
func plain(s string) string {
	if harmless(s) {
		return s
	}
	s = strings.Map(visible, stripEscapes(s))
	if strings.Count(s, ":") > 1 { // A digest has one, and compiling the expression takes longer than all else here.
		if colons := leadingColons().FindStringIndex(s); colons != nil {
			s = s[:colons[1]-1] + " " + s[colons[1]-1:]
		}
	}
	if strings.Count(s, "#") < 2 {
		return s
	}
	return ciCommand().ReplaceAllString(s, "$1 $2")
}

// Joiners and marks, which visible leaves, are nothing to a reader that compares text by the rules of a language.
var (
	leadingColons = lazyregexp.New(`^[\p{Z}\t\pM\x{200c}\x{200d}]*:[\pM\x{200c}\x{200d}]*:`)
	ciCommand     = lazyregexp.New(`(#[\pM\x{200c}\x{200d}]*#)([\pL\pM\x{200c}\x{200d}]*\[)`)
)

// harmless says that there is nothing in s to look at closely, as in nearly every line.
func harmless(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c > '~' || c == ':' || c == '#' {
			return false
		}
	}
	return true
}

// visible maps a rune to what is shown of it; -1 drops it.
func visible(r rune) rune {
	switch {
	case r == '\t', r == '\u200c', r == '\u200d': // the joiners are part of words and of emoji
		return r
	case r == '\n':
		return ' '
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', unicode.Is(unicode.Cf, r):
		return -1 // among Cf are those that change the order in which text is seen
	}
	return r
}

// stripEscapes removes the terminal's escape sequences (ECMA-48): CSI … final byte, OSC and its like … ST or BEL, and
// the two-byte ones.
func stripEscapes(s string) string {
	if !strings.ContainsRune(s, '\x1b') {
		return s
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		s = after[escapeLen(after):]
	}
}

// escapeLen is the length of the escape sequence whose ESC stands before s.
func escapeLen(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case '[':
		for i := 1; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 1; i < len(s); i++ {
			if s[i] == '\a' {
				return i + 1
			}
			if strings.HasPrefix(s[i:], "\x1b\\") {
				return i + 2
			}
		}
		return len(s)
	case '(', ')', '*', '+', '#', ' ', '%':
		return min(2, len(s))
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// Writer passes on lines of text that may have foreign text in them, each fit to be shown. A line is written when it
// is whole; Close writes what was begun.
type Writer struct {
	mu   sync.Mutex
	to   io.Writer
	rest []byte
}

// NewWriter returns a Writer that writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	end := bytes.LastIndexByte(w.rest, '\n')
	// An escape sequence may be cut by the end of p, so nothing is looked at before its line is whole.
	if end < 0 {
		return len(p), nil
	}
	var out strings.Builder
	for line := range strings.Lines(string(w.rest[:end+1])) {
		out.WriteString(plain(line[:len(line)-1]) + "\n")
	}
	// The beginning of the next line stays, in the same memory.
	w.rest = append(w.rest[:0], w.rest[end+1:]...)
	if _, err := io.WriteString(w.to, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes the line that has no end, if there is one. It does not close what the Writer writes to.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.rest
	w.rest = nil
	if len(rest) == 0 {
		return nil
	}
	_, err := io.WriteString(w.to, plain(string(rest)))
	return err
}

// EscapeJSON writes as \u… what plain would take away, so that the text means the same to a program and nothing to a
// terminal or a CI system.
func EscapeJSON(text []byte) []byte {
	if harmless(string(text)) {
		return text
	}
	var out bytes.Buffer
	last := rune(0)
	for _, r := range string(text) {
		if last == '#' && r == '#' || r != '\n' && visible(r) != r {
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		} else {
			out.WriteRune(r)
		}
		last = r
	}
	return out.Bytes()
}
