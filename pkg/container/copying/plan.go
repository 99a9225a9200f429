// This file owns the rules of docker cp: where what is copied goes, by what is there.

package copying

import (
	"fmt"
	"path"
	"strings"
)

// Info is what is known of one end of a copy.
type Info struct {
	Path        string // as it was given
	Exists, Dir bool
	Parent      bool // the directory in which it lies, or would lie, is there
}

// Target is where a tar is unpacked, and what its first entry is called; "." are the entries of the directory itself.
type Target struct{ Dir, Name string }

// contents says whether a path means what is in a directory: it ends with /. .
func contents(p string) bool { return p == "." || strings.HasSuffix(p, "/.") }

// Plan decides where a source goes.
func Plan(from, to Info) (Target, error) {
	name := path.Base(path.Clean("/" + from.Path))
	slash := strings.HasSuffix(to.Path, "/") || contents(to.Path)
	switch {
	case !from.Exists:
		return Target{}, fmt.Errorf("%s: there is no such file or directory", from.Path)
	case !from.Dir && strings.HasSuffix(from.Path, "/"), !from.Dir && contents(from.Path):
		return Target{}, fmt.Errorf("%s: it is not a directory", from.Path)
	case to.Dir && from.Dir && contents(from.Path):
		return Target{to.Path, "."}, nil
	case to.Dir && name == "/": // a whole root has no name
		return Target{to.Path, "."}, nil
	case to.Dir:
		return Target{to.Path, name}, nil
	case to.Exists && from.Dir:
		return Target{}, fmt.Errorf("%s: a directory cannot be copied over a file", to.Path)
	case to.Exists && slash:
		return Target{}, fmt.Errorf("%s: it is not a directory", to.Path)
	case !to.Exists && !from.Dir && slash:
		return Target{}, fmt.Errorf("%s: there is no such directory", to.Path)
	case !to.Parent:
		return Target{}, fmt.Errorf("%s: the directory in which it would lie is not there", to.Path)
	}
	clean := path.Clean(to.Path)
	return Target{path.Dir(clean), path.Base(clean)}, nil
}
