// This file owns the patterns of .dockerignore, as far as a lint rule asks them.

package dockerfile

import "github.com/moby/patternmatcher"

// ignorer are the patterns of .dockerignore, when there are some that decide on a path alone.
type ignorer struct {
	matcher *patternmatcher.PatternMatcher
}

// newIgnorer reads patterns. Those that cannot be read, or that take paths back in, match nothing.
func newIgnorer(patterns []string) ignorer {
	m, err := patternmatcher.New(patterns)
	if err != nil || len(patterns) == 0 || m.Exclusions() {
		return ignorer{} // A ! pattern may take a path back that lies below an ignored one.
	}
	return ignorer{m}
}

// matches says whether a source is ignored as a whole.
func (i ignorer) matches(src string) bool {
	if i.matcher == nil {
		return false
	}
	if src == "." || src == "/" {
		for _, p := range i.matcher.Patterns() {
			if s := p.String(); !p.Exclusion() && (s == "*" || s == "**" || s == "**/*") {
				return true
			}
		}
		return false
	}
	ok, err := i.matcher.MatchesOrParentMatches(src)
	return ok && err == nil
}
