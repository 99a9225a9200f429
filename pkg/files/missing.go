// This file owns what is said of a source that is not there.

package files

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// MissingError is a source that is not there.
type MissingError struct {
	Path    string // the path that was looked for, from the root of the context or state
	Ignored string // the line of .dockerignore that leaves it out, if one does
	Climbs  bool   // it was written with "..", which ends at the root of the context
}

// Error implements error.
func (e *MissingError) Error() string { return fmt.Sprintf("%q: not found", e.Path) }

// Is makes the error one of fs.ErrNotExist.
func (e *MissingError) Is(target error) bool { return target == fs.ErrNotExist }

// Hint says why it is not there, where that is known.
func (e *MissingError) Hint() string {
	switch {
	case e.Ignored != "":
		return "it is left out by " + e.Ignored
	case e.Climbs:
		return "sources are looked for in the build context, and \"..\" does not lead out of it: build with a context further up, or name a second one with --build-context"
	}
	return ""
}

// newMissing explains why the path is not in the tree.
func newMissing(t Tree, name, written string) error {
	e := &MissingError{Path: path.Clean("/" + name), Climbs: strings.HasPrefix(path.Clean(strings.TrimLeft(written, "/")), "..")}
	if d, ok := t.(*dirTree); ok {
		e.Ignored = d.rules.culprit(local(e.Path))
	}
	return e
}

// RealPath follows the symbolic links of a path of a tree. The error is fs.ErrNotExist where it leads nowhere.
func RealPath(t Tree, name string) (string, error) {
	n, err := follow(t, name, true)
	if err != nil {
		return "", newMissing(t, name, name)
	}
	return n.Path, nil
}
