package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// View reads a stack of snapshot directories as overlayfs would show them, without a mount. Paths are taken from the root
// of the view; none leads out of it. A View is safe for concurrent use.
type View struct {
	dirs    []string // the uppermost first
	indexes []*index // if set, dirs are numbers of these (see IndexView)
	lower   *View    // of a live view: what lies under dirs[0], which may change while it is read
	own     bool     // seen from outside of the namespace: the caller's own files are root's, others cannot be named
	merged  sync.Map // path of a directory -> []string, where its parts are; not used for what may change
}

// View returns the merged files of the state k, which must not be packed (see Expand).
func (s *Store) View(k Key) (*View, error) {
	dirs, err := s.stack(k)
	if err != nil {
		return nil, err
	}
	v := &View{dirs: dirs}
	if len(dirs) > 0 {
		v.merged.Store("/", dirs[:s.rootDepth(k, dirs)])
	}
	return v, nil
}

// Changed returns the files that the state k has of its own, without those of what it stands on.
func (s *Store) Changed(k Key) (*View, error) {
	dirs, err := s.stack(k)
	if err != nil || len(dirs) == 0 {
		return NewView(), err
	}
	return NewView(dirs[0]), nil
}

// below returns the view of what the snapshot of k stands on.
func (s *Store) below(k Key) (*View, error) {
	m, err := s.heldMeta(k)
	if err != nil {
		return nil, err
	}
	return s.View(m.Parent)
}

// rootDepth says how many snapshots of the state k, which are in dirs, its root directory is merged of. It is remembered:
// a build of many layers looks at each state.
func (s *Store) rootDepth(k Key, dirs []string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for at := k; n < len(dirs); at = s.known[at].Parent {
		below, known := s.roots[at]
		if known {
			n += below
			break
		}
		if n++; isOpaque(dirs[n-1]) {
			break
		}
	}
	s.roots[k] = n
	return n
}

// NewView returns the merged files of overlay directories, the uppermost first.
func NewView(dirs ...string) *View { return &View{dirs: dirs} }

// over returns the view of the directory upper on v. The directory may change while the view is used.
func (v *View) over(upper string) *View {
	return &View{dirs: append([]string{upper}, v.dirs...), lower: v}
}

// Lstat returns the entry at path without following a link at its end. Links on the way are not followed either: a path
// that leads through one does not exist (see Resolve). The error is fs.ErrNotExist where there is nothing.
func (v *View) Lstat(name string) (*Entry, error) {
	e, _, err := v.find(clean(name))
	if err == nil && v.own && e.source != "" {
		return e, e.toRoot()
	}
	return e, err
}

func clean(name string) string { return path.Clean("/" + name) }

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// find returns the entry at the clean path, and where its parts are if it is a directory.
func (v *View) find(name string) (*Entry, []string, error) {
	if name == "/" {
		return v.root()
	}
	if parts, ok := v.merged.Load(name); ok {
		e, err := v.lstat(parts.([]string)[0], name)
		return e, parts.([]string), err
	}
	dir, base := path.Split(name)
	stack, err := v.stackOf(path.Clean(dir))
	if err != nil {
		return nil, nil, err
	}
	e, parts, err := v.findIn(stack, name, base)
	if err == nil && v.lower == nil && e.IsDir() {
		v.merged.Store(name, parts)
	}
	return e, parts, err
}

// root returns the entry of "/". A view of nothing has an empty root directory.
func (v *View) root() (*Entry, []string, error) {
	e, err := v.top()
	if err != nil || len(v.dirs) == 0 {
		return e, nil, err
	}
	if v.lower != nil {
		parts, err := v.liveStack("/")
		return e, parts, err
	}
	if parts, ok := v.merged.Load("/"); ok {
		return e, parts.([]string), nil
	}
	for i, dir := range v.dirs {
		if v.isOpaque(dir) {
			return e, v.dirs[:i+1], nil
		}
	}
	return e, v.dirs, nil
}

// findIn looks base up in the parts of its directory.
func (v *View) findIn(stack []string, name, base string) (*Entry, []string, error) {
	var top *Entry
	var parts []string
	for _, dir := range stack {
		e, err := v.lstat(dir+"/"+base, name)
		if isNotExist(err) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("looking at %s: %w", name, err)
		}
		if e.isWhiteout() || top != nil && !e.IsDir() {
			break
		}
		if top == nil {
			top = e
		}
		if !e.IsDir() {
			break
		}
		parts = append(parts, e.source)
		if v.isOpaque(e.source) {
			break
		}
	}
	if top == nil {
		return nil, nil, notExist("lstat", name)
	}
	return top, parts, nil
}

// stackOf returns where the parts of a directory are, the uppermost first.
func (v *View) stackOf(dir string) ([]string, error) {
	if v.lower != nil {
		return v.liveStack(dir)
	}
	if parts, ok := v.merged.Load(dir); ok {
		return parts.([]string), nil
	}
	e, parts, err := v.find(dir)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, notExist("lstat", dir)
	}
	return parts, nil
}

// liveStack is stackOf where the upper directory is looked at anew each time, and the lower ones are remembered.
func (v *View) liveStack(dir string) ([]string, error) {
	upper, hidden := v.dirs[0], isOpaque(v.dirs[0])
	for _, name := range strings.Split(strings.Trim(dir, "/"), "/") {
		if name == "" {
			break
		}
		upper += "/" + name
		e, err := lstat(upper, dir)
		switch {
		case isNotExist(err) && !hidden:
			return v.lower.stackOf(dir)
		case err != nil:
			return nil, err
		case !e.IsDir():
			return nil, notExist("lstat", dir)
		}
		hidden = hidden || isOpaque(upper)
	}
	parts := []string{upper}
	if hidden {
		return parts, nil
	}
	below, err := v.lower.stackOf(dir)
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	return append(parts, below...), nil
}

// Open opens a regular file for reading.
func (v *View) Open(name string) (*os.File, error) {
	e, err := v.Lstat(name)
	if err != nil {
		return nil, err
	}
	return e.Open()
}

// Open opens the file of an entry, which must be a regular one, for reading. It fails if the file is another one by now.
func (e *Entry) Open() (*os.File, error) {
	if !e.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: e.Path, Err: errors.New("not a regular file")}
	}
	if e.Content != nil {
		return e.Content.Open()
	}
	f, err := os.OpenFile(e.source, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Ino != e.Ino || st.Dev != e.Dev {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: e.Path, Err: errors.New("the file changed while it was read")}
	}
	return f, nil
}
