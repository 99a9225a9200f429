package build

// A RUN that fails because of what a cache holds, which the Dockerfile has not asked for: a file that was published again
// under the same name, or one that is broken. It is executed once more, with an empty cache in the place of that one.

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

var (
	// pipMismatch is what pip prints, and the line after it that names the file.
	pipMismatch = lazyregexp.New(`THESE PACKAGES DO NOT MATCH THE HASHES`)
	pipBlames   = lazyregexp.New(`^\s+\S.* from (?:https?|file)://\S+?([^/\s#?]+)(?:[?#]\S*?)?(?: \(from .*\))?:?\s*$`)
	uvMismatch  = lazyregexp.New("Hash mismatch for `")
	// pipBroken is how pip ends when what it reads of its cache is no wheel, or cut off.
	pipBroken = lazyregexp.New(`ERROR: Wheel '.*' is invalid|^(zipfile\.)?BadZipFile:|^(pip\._vendor\.)?msgpack\.\S+|^zlib\.error:`)
	uvBroken  = lazyregexp.New(`Failed to deserialize cache entry|Failed to read from the distribution cache|[Cc]ache deserialization failed`)
)

// staleWords are in the lines that are looked at more closely.
var staleWords = []string{"HASHES", "ash mismatch", "ache", "is invalid", "BadZipFile", "msgpack", "zlib.error"}

// readStale looks for signs that the content of a cache made the tool fail.
func (l *toolLog) readStale(line string) {
	if l.stale == nil && !slices.ContainsFunc(staleWords, func(w string) bool { return strings.Contains(line, w) }) {
		return
	}
	switch {
	case pipMismatch().MatchString(line):
		l.blame("pip?") // until it is known that it was not fetched now
	case l.stale["pip?"] && pipBlames().MatchString(line):
		if file := pipBlames().FindStringSubmatch(line)[1]; !l.fetch[path.Base(file)] {
			l.blame("pip")
		}
	case uvMismatch().MatchString(line), uvBroken().MatchString(line):
		l.blame("uv")
	case pipBroken().MatchString(line) && l.of("pip").hits > 0:
		l.blame("pip")
	}
}

func (l *toolLog) blame(tool string) {
	if l.stale == nil {
		l.stale = map[string]bool{}
	}
	l.stale[tool] = true
}

// staleError is a failure of a RUN that a cache may be the cause of.
type staleError struct {
	tools []string
	cause error
}

func (e *staleError) Error() string { return e.cause.Error() }

// Unwrap gives the failure.
func (e *staleError) Unwrap() error { return e.cause }

// blame marks the failure of a RUN which a cache that nobody asked for may be the cause of.
func (c *toolCaches) blame(err error, log *toolLog) error {
	var failed *RunError
	if !errors.As(err, &failed) {
		return err
	}
	var tools []string
	for _, u := range c.uses {
		if u.Automatic && log.stale[u.Tool] && !slices.Contains(c.work.distrust, u.Tool) {
			tools = append(tools, u.Tool)
		}
	}
	if tools == nil {
		return err
	}
	return &staleError{tools, err}
}

// distrusts says whether the RUN is to be executed once more, with empty caches of some tools.
func (w *work) distrusts(err error) bool {
	var stale *staleError
	if w.distrust != nil || !errors.As(err, &stale) {
		return false
	}
	w.distrust = stale.tools
	w.walker.events.notice(w.number, fmt.Sprintf("the cache of %s holds what the index does not have any more, or something broken: the step runs once more without it, "+
		"and what is downloaded now replaces that", strings.Join(slices.Compact(slices.Sorted(slices.Values(stale.tools))), " and ")))
	return true
}
