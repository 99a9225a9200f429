// This file owns what is known of a step while it runs: what it printed last, and how far it is.

package progress

import (
	"fmt"
	"time"
)

const (
	// So many lines of a failed step are shown again at the end.
	tailLines = 20

	// So much of each of these lines is shown.
	tailColumns = 500
)

// step is what is known of a step that runs.
type step struct {
	number  int
	title   string
	start   time.Time
	ended   bool
	tail    []string // These are its last lines.
	streams [2]lineReader

	current, total int64
	counted        string
	shown          time.Time // The plain display last drew the progress then.
	complete       bool      // The plain display said that all is there.
}

// log takes a piece of output and returns the lines that it completes.
func (s *step) log(data []byte, stderr bool) []string {
	r := &s.streams[0]
	if stderr {
		r = &s.streams[1]
	}
	return s.keep(r.add(data))
}

// flush returns the lines that were begun and not ended.
func (s *step) flush() []string {
	return s.keep(append(s.streams[0].flush(), s.streams[1].flush()...))
}

// keep remembers the last lines: if the step fails, they are shown once more where nobody has to search for them.
func (s *step) keep(lines []string) []string {
	s.tail = append(s.tail, lines...)
	if n := len(s.tail) - tailLines; n > 0 {
		s.tail = append([]string(nil), s.tail[n:]...)
	}
	return lines
}

// progress is "12.3MB / 45.0MB" with what is counted before it, or empty.
func (s *step) progress() string {
	var text string
	switch {
	case s.total > 0:
		text = size(s.current) + " / " + size(s.total)
	case s.current > 0:
		text = size(s.current)
	}
	if s.counted != "" && text != "" {
		return s.counted + " " + text
	}
	return s.counted + text
}

// size writes a number of bytes in units of 1000, as registries and Docker do.
func size(n int64) string {
	v, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for ; v >= 1000 && i < len(units)-1; i++ {
		v /= 1000
	}
	if i == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.1f%s", v, units[i])
}

// seconds writes a time that passed; a clock that was set back gives none.
func seconds(d time.Duration, digits int) string {
	return fmt.Sprintf("%.*f", digits, max(d, 0).Seconds())
}
