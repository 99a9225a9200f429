// Views of indexes: an index is a level, whose places are the paths of its names.

package rootfs

import (
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Contents reads single files of a snapshot of which only the layers and an index are here.
type Contents interface {
	// Want says that a file will be opened: it is cheaper to say so of all before the first is opened.
	Want(path string)
	// Open opens a regular file of the snapshot.
	Open(path string) (*os.File, error)
}

// Index is what is known of a snapshot whose files are not here.
type Index struct{ of *index }

// OpenIndex reads an index. Files of the snapshot are read from c; nil: the error of opening one is ErrNoContent.
func OpenIndex(data []byte, c Contents) (Index, error) {
	x, err := readIndex(data)
	if err == nil {
		x.from = c
	}
	return Index{x}, err
}

// Summed says whether the index has digests of all files, so that it suffices to know which files are the same.
func (x Index) Summed() bool { return x.of.summed }

// Groups lists the paths of each file of the snapshot that has several.
func (x Index) Groups() map[string][]string {
	var groups [][]string
	at := map[uint64]int{}
	all := map[string][]string{}
	for r := (indexReader{rest: x.of.raw}); len(r.rest) > 0; {
		var e indexed
		if r.next(&e); e.group == 0 {
			continue
		}
		i, known := at[e.group]
		if !known {
			i = len(groups)
			at[e.group], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], pathOf(r.key))
	}
	for _, names := range groups {
		for _, name := range names {
			all[name] = names
		}
	}
	return all
}

// IndexView returns the files of a state whose snapshots have these indexes, the uppermost first.
func IndexView(indexes ...Index) *View {
	var levels []Level
	for _, x := range indexes {
		levels = append(levels, Level{Index: x})
	}
	return StackView(levels, 0)
}

// Hiding lists the paths of what hides something of the snapshots below: whiteouts and opaque directories.
func (x Index) Hiding() (paths []string) {
	for r := (indexReader{rest: x.of.raw}); len(r.rest) > 0; {
		var e indexed
		if r.next(&e); e.opaque || e.entry.IsWhiteout() {
			paths = append(paths, pathOf(r.key))
		}
	}
	return paths
}

func (x *index) lstat(at, name string) (*Entry, error) {
	found := x.lookup(at)
	if found == nil {
		return nil, notExist("lstat", name)
	}
	found.from, found.at = x.from, path.Clean("/"+at)
	e := &found.entry
	e.Name, e.Path, e.Content = path.Base(name), name, found
	e.Dev, e.Ino = x.device, found.group
	return e, nil
}

func (x *index) opaque(at string) bool {
	found := x.lookup(at)
	return found != nil && found.opaque
}

func (x *index) names(at string, all *Names) error {
	part := all.begin()
	x.list(at, func(name string) { all.add(name, part) })
	return nil
}

// Xattrs implements Content.
func (x *indexed) Xattrs(*os.File) (map[string][]byte, error) { return x.xattrs, nil }

// Unchanged implements Content.
func (x *indexed) Unchanged(*os.File) error { return nil }

// Open implements Content. The error is ErrNoContent for almost every file of which nothing but the index is known.
func (x *indexed) Open() (*os.File, error) {
	if x.content == nil && x.from == nil {
		return nil, ErrNoContent
	}
	if x.content == nil {
		return x.from.Open(x.at)
	}
	return memoryFile(x.at, x.content)
}

// memoryFile is an open file with a content that is in memory.
func memoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("indexed", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(content, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Want implements Wanted.
func (x *indexed) Want() {
	if x.content == nil && x.from != nil {
		x.from.Want(x.at)
	}
}

// Sum implements Summed.
func (x *indexed) Sum() []byte { return x.sum }
