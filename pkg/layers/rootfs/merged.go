// The stack of a view that never changes. It remembers what it has found out about directories.

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"golang.org/x/sys/unix"
)

// merged is a stack that does not change. What it has found out about directories it remembers.
type merged struct {
	tops []part   // the root directories of the levels, the uppermost first
	seen sync.Map // path of a directory -> []part
}

func (m *merged) find(name string) (*Entry, []part, error) {
	if name == "/" {
		return m.root()
	}
	if parts, ok := m.seen.Load(name); ok {
		e, err := describing(parts.([]part), name)
		return e, parts.([]part), err
	}
	dir, _ := path.Split(name)
	above, err := m.parts(path.Clean(dir))
	if err != nil {
		return nil, nil, err
	}
	e, parts, err := findIn(above, name)
	if err == nil && e.IsDir() {
		m.seen.Store(name, parts)
	}
	return e, parts, err
}

// describing returns the entry of a directory: that of the uppermost of its parts which says what it is.
func describing(parts []part, name string) (e *Entry, err error) {
	for _, p := range parts {
		if e, err = p.level.lstat(p.at, name); err != nil || !e.implied {
			break
		}
	}
	return e, err
}

// root returns the entry of "/": that of the uppermost level which has one. A view of nothing has an empty root directory.
func (m *merged) root() (*Entry, []part, error) {
	e := &Entry{Name: "/", Path: "/", Mode: unix.S_IFDIR | 0o755}
	for _, top := range m.tops {
		found, err := top.level.lstat(top.at, "/")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		e = found
		break
	}
	if parts, ok := m.seen.Load("/"); ok {
		return e, parts.([]part), nil
	}
	for i, top := range m.tops {
		if top.level.opaque(top.at) {
			return e, m.tops[:i+1], nil
		}
	}
	return e, m.tops, nil
}

func (m *merged) parts(dir string) ([]part, error) {
	if parts, ok := m.seen.Load(dir); ok {
		return parts.([]part), nil
	}
	e, parts, err := m.find(dir)
	if err != nil {
		return nil, err
	}
	if !e.IsDir() {
		return nil, notExist("lstat", dir)
	}
	return parts, nil
}

// findIn looks for the name in the parts of the directory that it is in.
func findIn(above []part, name string) (*Entry, []part, error) {
	var top *Entry
	var parts []part
	base := "/" + path.Base(name)
	for _, dir := range above {
		p := part{dir.level, dir.at + base}
		e, err := p.level.lstat(p.at, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("looking at %s: %w", name, err)
		}
		if e.IsWhiteout() || top != nil && !e.IsDir() {
			break
		}
		if top == nil || top.implied {
			top = e
		}
		if !e.IsDir() {
			break
		}
		parts = append(parts, p)
		if p.level.opaque(p.at) {
			break
		}
	}
	if top == nil {
		return nil, nil, notExist("lstat", name)
	}
	return top, parts, nil
}
