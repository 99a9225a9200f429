// This file owns the listing and the walking of a view: names in order, entries looked at one at a time. It reads only, and leaves
// it to the levels of the view to say what is visible.

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
)

// ReadDir returns the entries of a directory, sorted by name. See Entries for one that may have very many.
func (v *View) ReadDir(name string) (all []*Entry, err error) {
	for e, err := range v.Entries(name) {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// Entries lists a directory, sorted by name, and looks at each entry only when it is its turn. It ends with the first error.
func (v *View) Entries(name string) iter.Seq2[*Entry, error] {
	name = clean(name)
	return func(yield func(*Entry, error) bool) {
		parts, err := v.stack.parts(name)
		if err != nil {
			yield(nil, err)
			return
		}
		var names Names
		if err := names.readParts(parts); err != nil {
			yield(nil, fmt.Errorf("reading directory %s: %w", name, err))
			return
		}
		for base, i := range names.All() {
			e, err := parts[i].level.lstat(parts[i].at+"/"+base, path.Join(name, base))
			if err == nil && e.implied {
				e, _, err = findIn(parts[i:], path.Join(name, base))
			}
			if err != nil {
				yield(nil, fmt.Errorf("reading directory %s: %w", name, err))
				return
			}
			if !e.IsWhiteout() && !yield(e, nil) {
				return
			}
		}
	}
}

// Walk calls fn for the entry at root and all below it, parents first, names in order. fn may return fs.SkipDir, as for
// filepath.WalkDir, or fs.SkipAll.
func (v *View) Walk(root string, fn func(*Entry) error) error {
	e, err := v.Lstat(root)
	if err == nil {
		err = v.walk(e, fn)
	}
	if errors.Is(err, fs.SkipAll) || errors.Is(err, fs.SkipDir) {
		return nil
	}
	return err
}

// walk calls fn for an entry and what is below it.
func (v *View) walk(e *Entry, fn func(*Entry) error) error {
	err := fn(e)
	if errors.Is(err, fs.SkipDir) && e.IsDir() {
		return nil
	}
	if err != nil || !e.IsDir() {
		return err
	}
	for child, err := range v.Entries(e.Path) {
		if err != nil {
			return err
		}
		if err := v.walk(child, fn); errors.Is(err, fs.SkipDir) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
