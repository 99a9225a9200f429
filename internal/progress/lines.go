// This file owns the lines that steps print: they are put together of what arrives in pieces, and cut to what a terminal
// has room for.

package progress

import (
	"fmt"
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
	returned bool // The last byte was a carriage return.
}

// add takes a piece of output, and returns the lines that it ends.
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

// flush returns the line that nothing has ended, if there is one.
func (r *lineReader) flush() []string {
	if len(r.buf) == 0 {
		return nil
	}
	return []string{r.take()}
}

// take makes a line of what was read, and begins the next one. Foreign text becomes harmless here.
func (r *lineReader) take() string {
	line := clean(string(r.buf))
	if r.dropped > 0 {
		line += fmt.Sprintf(" … (%d bytes more)", r.dropped)
	}
	r.buf, r.dropped, r.returned = r.buf[:0], 0, false
	return line
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

// columns is how wide a terminal shows s.
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
