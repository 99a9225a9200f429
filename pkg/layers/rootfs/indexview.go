// Views of indexes: an index is a level, whose places are the paths of its names.

package rootfs

import (
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// IndexView returns the files of a state whose snapshots have these indexes, the uppermost first. Their content is elsewhere:
// the error of opening one is ErrNoContent.
func IndexView(indexes ...[]byte) (*View, error) {
	m := &merged{}
	for _, data := range indexes {
		x, err := readIndex(data)
		if err != nil {
			return nil, err
		}
		m.tops = append(m.tops, part{x, ""})
	}
	return &View{stack: m}, nil
}

func (x *index) lstat(at, name string) (*Entry, error) {
	found := x.lookup(at)
	if found == nil {
		return nil, notExist("lstat", name)
	}
	e := &found.entry
	e.Name, e.Path, e.Content = path.Base(name), name, found
	return e, nil
}

func (x *index) opaque(at string) bool {
	found := x.lookup(at)
	return found != nil && found.opaque
}

// open fails: an index is not made to be listed.
func (x *index) open(at string) (*os.File, error) { return nil, notExist("open", at) }

// Xattrs implements Content.
func (x *indexed) Xattrs(*os.File) (map[string][]byte, error) { return x.xattrs, nil }

// Unchanged implements Content.
func (x *indexed) Unchanged(*os.File) error { return nil }

// Open implements Content. The error is ErrNoContent for almost every file.
func (x *indexed) Open() (*os.File, error) {
	if x.content == nil {
		return nil, ErrNoContent
	}
	fd, err := unix.MemfdCreate("indexed", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), x.entry.Path)
	if _, err := f.WriteAt(x.content, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
