// This file owns which entries below the root of a pick are taken.

package files

import "fmt"

// filter decides which entries below the root of a pick are taken.
type filter struct{ include, exclude *patterns } // nil: all, none

// filterState is what is known of a directory, for the entries in it.
type filterState struct{ include, exclude matchState }

// newFilter reads the patterns of --parents and of --exclude.
func newFilter(include, exclude []string) (f filter, err error) {
	if f.include, err = newPatterns(clearEmpty(include)); err != nil {
		return f, fmt.Errorf("reading --parents: %w", err)
	}
	if f.exclude, err = newPatterns(exclude); err != nil {
		return f, fmt.Errorf("reading --exclude: %w", err)
	}
	return f, nil
}

// clearEmpty drops the empty pattern, which stands for the root itself: all of it is taken.
func clearEmpty(list []string) (kept []string) {
	for _, p := range list {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
}

// check says whether an entry is taken, and for a directory whether there is any use in looking into it.
func (f *filter) check(name string, parent filterState) (taken, enter bool, state filterState, err error) {
	taken, enter = true, true
	if f.include != nil {
		if taken, state.include, err = f.include.match(name, parent.include); err != nil {
			return false, false, state, err
		}
		enter = taken || f.include.reaches(name, false)
	}
	if f.exclude != nil && enter {
		var out bool
		if out, state.exclude, err = f.exclude.match(name, parent.exclude); err != nil {
			return false, false, state, err
		}
		if out {
			taken, enter = false, f.exclude.reaches(name, true)
		}
	}
	return taken, enter, state, nil
}
