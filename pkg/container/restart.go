// This file owns the restart policy: pure decisions on how a command ended and how often it ran.

package container

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Restart says when a command that has ended is run again. The zero value is never.
type Restart struct {
	always, onFailure bool
	name              string // "" is no
	times             int    // the largest number of restarts on failure; 0 means no bound
}

// ParseRestart reads no, on-failure[:TIMES], always or unless-stopped. As in docker, a number of 0 is none.
func ParseRestart(text string) (Restart, error) {
	name, times, counted := strings.Cut(text, ":")
	r := Restart{name: name, always: name == "always" || name == "unless-stopped", onFailure: name == "on-failure"}
	if !r.always && !r.onFailure && name != "no" && (name != "" || counted) {
		return r, errors.New("it is no, on-failure[:TIMES], always or unless-stopped")
	}
	if times != "" {
		n, err := strconv.Atoi(times)
		if err != nil || n < 0 || n > 0 && !r.onFailure {
			return r, errors.New("maximum retry count must be a number, and is for on-failure")
		}
		r.times = n
	}
	return r, nil
}

// String is the policy as it is written.
func (r Restart) String() string {
	if r.times > 0 {
		return r.name + ":" + strconv.Itoa(r.times)
	}
	return cmp.Or(r.name, "no")
}

// Never says that no command is run again.
func (r Restart) Never() bool { return !r.always && !r.onFailure }

// Times is the largest number of restarts; 0 is no bound.
func (r Restart) Times() int { return r.times }

// Unit is the policy in systemd's words.
func (r Restart) Unit() string {
	switch {
	case r.always:
		return "always"
	case r.onFailure:
		return "on-failure"
	}
	return "no"
}

// again decides for a command that ran, failed or not, and was run again so many times.
func (r Restart) again(failed bool, restarts int) bool {
	return r.always || r.onFailure && failed && (r.times == 0 || restarts < r.times)
}

// The pauses before a restart double from the first to the longest. A command that ran for long enough begins anew.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Minute
	longRun      = 10 * time.Second
)

// pauseAfter is the pause that follows a run of such a length; before is the pause that preceded the run, or 0.
func pauseAfter(ran, before time.Duration) time.Duration {
	if before == 0 || ran > longRun {
		return firstPause
	}
	return min(2*before, longestPause)
}
