package layers

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
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
		all, err := v.names(name)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, n := range all {
			e, err := lstat(n.dir+"/"+n.base, path.Join(name, n.base))
			if err != nil {
				yield(nil, fmt.Errorf("reading directory %s: %w", name, err))
				return
			}
			if !e.isWhiteout() && !yield(e, nil) {
				return
			}
		}
	}
}

// partName is a name in one of the parts of a directory.
type partName struct{ base, dir string }

// names returns the names in a directory, sorted, each in the uppermost part that has it.
func (v *View) names(name string) ([]partName, error) {
	stack, err := v.stackOf(name)
	if err != nil {
		return nil, err
	}
	var all []partName
	for _, dir := range stack {
		names, err := readNames(dir)
		if err != nil {
			return nil, fmt.Errorf("reading directory %s: %w", name, err)
		}
		all = slices.Grow(all, len(names))
		for _, base := range names {
			all = append(all, partName{base, dir})
		}
	}
	slices.SortStableFunc(all, func(a, b partName) int { return strings.Compare(a.base, b.base) })
	return slices.CompactFunc(all, func(a, b partName) bool { return a.base == b.base }), nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// Walk calls fn for the entry at root and all below it, parents first, names in order. fn may return fs.SkipDir, as for
// filepath.WalkDir, or fs.SkipAll.
func (v *View) Walk(root string, fn func(*Entry) error) error {
	e, err := v.Lstat(root)
	if err == nil {
		err = v.walk(e, fn)
	}
	if err == fs.SkipAll || err == fs.SkipDir {
		return nil
	}
	return err
}

func (v *View) walk(e *Entry, fn func(*Entry) error) error {
	err := fn(e)
	if err == fs.SkipDir && e.IsDir() {
		return nil
	}
	if err != nil || !e.IsDir() {
		return err
	}
	for child, err := range v.Entries(e.Path) {
		if err != nil {
			return err
		}
		if err := v.walk(child, fn); err == fs.SkipDir {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
