package progress

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is how much of a line is kept. What follows is counted and dropped, so that a step that prints megabytes
// without a line end costs nothing.
const maxLine = 4096

// lineReader makes lines of output that comes in any pieces. A carriage return starts the line anew, as on a terminal:
// of a progress bar only its last state is shown.
type lineReader struct {
	buf      []byte
	dropped  int
	returned bool // the last byte was a carriage return
}

func (r *lineReader) add(data []byte) []string {
	var lines []string
	for _, b := range data {
		switch {
		case b == '\n':
			lines = append(lines, r.take())
			continue
		case b == '\r':
			r.returned = true
			continue
		case r.returned:
			r.buf, r.dropped, r.returned = r.buf[:0], 0, false
		}
		if len(r.buf) < maxLine {
			r.buf = append(r.buf, b)
		} else {
			r.dropped++
		}
	}
	return lines
}

func (r *lineReader) flush() []string {
	if len(r.buf) == 0 {
		return nil
	}
	return []string{r.take()}
}

func (r *lineReader) take() string {
	line := clean(string(r.buf))
	if r.dropped > 0 {
		line += fmt.Sprintf(" … (%d bytes more)", r.dropped)
	}
	r.buf, r.dropped, r.returned = r.buf[:0], 0, false
	return line
}

// clean makes foreign text fit to be shown: one line, no escape sequences, nothing that reorders text or that a CI
// system takes for a command (GitHub's ::set-output:: and ##[…], Azure's ##vso[…], TeamCity's ##teamcity[…]).
func clean(s string) string {
	s = strings.Map(visible, stripEscapes(s))
	if strings.HasPrefix(strings.TrimLeftFunc(s, unicode.IsSpace), "::") {
		s = strings.Replace(s, "::", ": :", 1)
	}
	if strings.Contains(s, "##") && strings.Contains(s, "[") {
		s = ciCommands.Replace(s)
	}
	return s
}

var ciCommands = strings.NewReplacer("##[", "## [", "##vso[", "## vso[", "##teamcity[", "## teamcity[")

// visible maps a rune to what is shown of it; -1 drops it.
func visible(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case r == '\n':
		return ' '
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return -1
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f':
		return -1 // they change the order in which text is seen
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

// cut shortens s to n columns.
func cut(s string, n int) string {
	columns := 0
	for i, r := range s {
		w := runeWidth(r)
		if columns+w > n {
			return cutAt(s[:i], n)
		}
		columns += w
	}
	return s
}

// cutAt makes room for the mark at the end of s, which fills n columns.
func cutAt(s string, n int) string {
	if n < 2 {
		return s
	}
	_, last := utf8.DecodeLastRuneInString(s)
	return s[:len(s)-last] + "…"
}

func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is how many columns a terminal gives r: none to a combining mark, two to East Asian text and emoji. The
// ranges are coarse on purpose; a line that is cut a column early does no harm, one that wraps breaks the window.
func runeWidth(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r), r == '\u200d', r >= 0xfe00 && r <= 0xfe0f:
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff,
		r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
