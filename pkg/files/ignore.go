// This file owns patterns: those of .dockerignore, --exclude and --parents.
// The matching itself is that of Docker. This file adds the number of the line that decides, and whether it is any use to
// look into a directory.

package files

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// patterns is a list of patterns of .dockerignore, --exclude or --parents; the last one that matches decides.
type patterns struct {
	mu      sync.Mutex // the matcher compiles its patterns at first use
	matcher *patternmatcher.PatternMatcher
}

// newPatterns compiles a list; nil where it is empty.
func newPatterns(list []string) (*patterns, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m, err := patternmatcher.New(list)
	if err != nil {
		return nil, err
	}
	return &patterns{matcher: m}, nil
}

// match says whether name matches, given the state of its directory.
func (p *patterns) match(name string, parent matchState) (bool, matchState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	matched, state, err := p.matcher.MatchesUsingParentResults(name, parent)
	if err != nil {
		return false, state, fmt.Errorf("matching %q: %w", name, err)
	}
	return matched, state, nil
}

// reaches says whether a pattern (an exception, if exceptions is set) could match something below the directory dir. A
// walk may leave out what no pattern reaches: with "*" and "!src" nothing but src is looked at.
func (p *patterns) reaches(dir string, exceptions bool) bool {
	for _, pattern := range p.matcher.Patterns() {
		if pattern.Exclusion() == exceptions && reaches(pattern.String(), dir) {
			return true
		}
	}
	return false
}

// reaches compares element by element. It may say yes too often, never no.
func reaches(pattern, dir string) bool {
	want, have := strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(dir, "/")
	for i, name := range have {
		if i >= len(want) {
			return false
		}
		if strings.Contains(want[i], "**") {
			return true
		}
		if strings.ContainsAny(want[i], `[]\^`) {
			continue
		}
		if ok, err := path.Match(want[i], name); err == nil && !ok {
			return false
		}
	}
	return len(want) > len(have)
}

// ignoreRules are the lines of a .dockerignore.
type ignoreRules struct {
	patterns *patterns
	file     string // the name of the file in messages
	lines    []ignoreLine
}

// ignoreLine is a pattern with the line that it stands on, for messages.
type ignoreLine struct {
	number  int
	pattern string
}

// What an ignore file may have: each pattern costs some kB of memory, and time for each file.
const (
	maxPatterns = 10_000
	maxPattern  = 4096 // bytes, which no path is longer than
)

// parseIgnore reads the text of the ignore file called file.
func parseIgnore(file string, text []byte) (*ignoreRules, error) {
	r := &ignoreRules{file: file}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var list []string
	for i, line := range bytes.Split(text, []byte("\n")) {
		found, err := ignorefile.ReadAll(bytes.NewReader(line))
		if err != nil {
			return nil, fmt.Errorf("reading %s:%d: %w", file, i+1, err)
		}
		for _, pattern := range found {
			if len(list) == maxPatterns {
				return nil, fmt.Errorf("reading %s:%d: there are more than %d patterns", file, i+1, maxPatterns)
			}
			if len(pattern) > maxPattern {
				return nil, fmt.Errorf("reading %s:%d: the pattern is longer than %d bytes", file, i+1, maxPattern)
			}
			if err := checkPattern(pattern); err != nil {
				return nil, fmt.Errorf("reading %s:%d: pattern %q: %w", file, i+1, pattern, err)
			}
			r.lines = append(r.lines, ignoreLine{i + 1, pattern})
			list = append(list, pattern)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	var err error
	r.patterns, err = newPatterns(list)
	return r, err
}

// checkPattern finds also what the matcher would notice only at its first use, in the midst of a build.
func checkPattern(pattern string) error {
	p, err := newPatterns([]string{pattern})
	if err == nil {
		_, _, err = p.match("name", matchState{})
	}
	return err
}

// mayTakeBack says whether an exception could match something below an ignored directory.
func (r *ignoreRules) mayTakeBack(dir string) bool { return r.patterns.reaches(dir, true) }

// culprit names the line that leaves name out; empty if none does.
func (r *ignoreRules) culprit(name string) string {
	if r == nil {
		return ""
	}
	for i := len(r.lines) - 1; i >= 0; i-- {
		pattern, exception := strings.CutPrefix(r.lines[i].pattern, "!")
		m, err := patternmatcher.New([]string{pattern})
		if err != nil {
			continue
		}
		if ok, _ := m.MatchesOrParentMatches(name); ok {
			if exception {
				return ""
			}
			return fmt.Sprintf("%s:%d: %s", r.file, r.lines[i].number, pattern)
		}
	}
	return ""
}
