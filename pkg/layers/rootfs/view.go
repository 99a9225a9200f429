// View, the files of a state. What a view is of is a stack: merged.go has the one that never changes, live.go the one whose
// uppermost directory does.

package rootfs

import (
	"io"
	"io/fs"
	"os"
	"path"
)

// View reads a stack of directories as overlayfs would show them, without a mount. Paths are taken from the root of the view;
// none leads out of it. A View is safe for concurrent use.
type View struct{ stack stack }

// stack knows of what parts a directory is merged.
type stack interface {
	// find returns the entry at a clean path, and its parts if it is a directory.
	find(name string) (*Entry, []part, error)
	// parts returns the parts of a directory, the uppermost first.
	parts(dir string) ([]part, error)
}

// part is a directory in one level.
type part struct {
	level level
	at    string
}

// level is one snapshot of a stack: directories on disk, or an index.
type level interface {
	// lstat returns the entry at a place of the level. name is its path in the view.
	lstat(at, name string) (*Entry, error)
	// opaque says whether a directory hides what the levels below have there.
	opaque(at string) bool
	// names adds the names in a directory to those that all has.
	names(at string, all *Names) error
}

// disk is a level on disk, where a place is a path.
type disk struct{}

func (disk) lstat(at, name string) (*Entry, error) { return Lstat(at, name) }

func (disk) opaque(at string) bool { return IsOpaque(at) }

func (disk) names(at string, all *Names) error {
	dir, err := os.Open(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	return all.Read(dir)
}

// NewView returns the merged files of overlay directories, the uppermost first.
func NewView(dirs ...string) *View {
	var levels []Level
	for _, dir := range dirs {
		levels = append(levels, Level{Dir: dir})
	}
	return StackView(levels, 0)
}

// Level is one snapshot of a view: a directory on disk, or an index of one.
type Level struct {
	Dir   string
	Index Index // counts where Dir is empty
}

func (l Level) top() part {
	if l.Dir == "" {
		return part{l.Index.of, ""}
	}
	return part{disk{}, l.Dir}
}

// IsOpaque says whether the root directory of a level hides all that is below.
func (l Level) IsOpaque() bool {
	p := l.top()
	return p.level.opaque(p.at)
}

// StackView returns the merged files of levels, the uppermost first. root says of how many of them the root directory is merged; 0: that is
// not known.
func StackView(levels []Level, root int) *View {
	m := &merged{}
	for _, l := range levels {
		m.tops = append(m.tops, l.top())
	}
	if root > 0 {
		m.seen.Store("/", m.tops[:root])
	}
	return &View{stack: m}
}

// Over returns the view of the directory upper on v. The directory may change while the view is used.
func (v *View) Over(upper string) *View {
	return &View{stack: &live{upper: part{disk{}, upper}, lower: v.stack}}
}

// OverMemory returns the view of a tree in memory on v. The tree may change while the view is used.
func (v *View) OverMemory(m *Memory) *View {
	return &View{stack: &live{upper: part{m, ""}, lower: v.stack}}
}

// Lstat returns the entry at path without following a link at its end. Links on the way are not followed either: a path
// that leads through one does not exist (see Resolve). The error is fs.ErrNotExist where there is nothing.
func (v *View) Lstat(name string) (*Entry, error) {
	e, _, err := v.stack.find(clean(name))
	return e, err
}

// Open opens a regular file for reading.
func (v *View) Open(name string) (*os.File, error) {
	e, err := v.Lstat(name)
	if err != nil {
		return nil, err
	}
	return e.Open()
}

// Follow opens a regular file for reading; symbolic links are followed inside the view.
func (v *View) Follow(name string) (io.ReadCloser, error) {
	real, _, err := v.Resolve(name, true)
	if err != nil {
		return nil, err
	}
	return v.Open(real)
}

func clean(name string) string { return path.Clean("/" + name) }

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}
