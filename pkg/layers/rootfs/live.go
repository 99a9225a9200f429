// The stack of a view whose uppermost directory is still written.

package rootfs

import (
	"errors"
	"io/fs"
	"path"
)

// live is a stack whose uppermost level may change while it is read. That one is looked at anew each time.
type live struct {
	upper part
	lower stack
}

func (l *live) find(name string) (*Entry, []part, error) {
	if name == "/" {
		e, err := l.upper.level.lstat(l.upper.at, "/")
		if err != nil {
			return nil, nil, err
		}
		parts, err := l.parts("/")
		return e, parts, err
	}
	dir, _ := path.Split(name)
	above, err := l.parts(path.Clean(dir))
	if err != nil {
		return nil, nil, err
	}
	return findIn(above, name)
}

// parts implements stack. It goes down the upper directory, and leaves the rest of the way to the lower stack where the upper one
// has nothing of it.
func (l *live) parts(dir string) ([]part, error) {
	p := l.upper
	hidden := p.level.opaque(p.at)
	for _, name := range split(dir) {
		p.at += "/" + name
		e, err := p.level.lstat(p.at, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !hidden:
			return l.lower.parts(dir)
		case err != nil:
			return nil, err
		case !e.IsDir():
			return nil, notExist("lstat", dir)
		}
		hidden = hidden || p.level.opaque(p.at)
	}
	parts := []part{p}
	if hidden {
		return parts, nil
	}
	below, err := l.lower.parts(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return append(parts, below...), nil
}
