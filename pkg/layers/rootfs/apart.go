// Files of a snapshot that are in layers of their own, below that of the rest.

package rootfs

import (
	"context"
	"fmt"
	"io"
	"path"
	"time"
)

// SettledTime is the time (Unix seconds) that files of distributions get, so that equal ones are equal on every day: a
// day after the oldest that a zip archive can hold, in every time zone.
const SettledTime = 315619200

// Apart is what of a snapshot is in layers of its own.
type Apart struct {
	Files map[string]bool
	Dirs  map[string]bool // all directories that the files are in
}

// NewApart returns those files.
func NewApart(lists ...[]string) *Apart {
	a := &Apart{Files: map[string]bool{}, Dirs: map[string]bool{}}
	for _, files := range lists {
		for _, name := range files {
			a.Files[name] = true
			for dir := path.Dir(name); !a.Dirs[dir]; dir = path.Dir(dir) {
				a.Dirs[dir] = true
			}
		}
	}
	return a
}

// holds says whether the file is in a layer of its own.
func (a *Apart) holds(name string) bool { return a != nil && a.Files[name] }

// under says whether such a file is in or below the directory.
func (a *Apart) under(dir string) bool { return a != nil && a.Dirs[dir] }

// WriteFiles writes the tar of a layer of files of a snapshot directory. Every directory on the way is in it, since Docker
// unpacks each layer into an empty directory, and each has the same time in every build: the layer of the rest, which lies
// above, sets it right where it matters.
func WriteFiles(ctx context.Context, w io.Writer, snapshot string, files []string, epoch *int64) error {
	d := newDiffer(ctx, w, DiffOptions{Epoch: epoch})
	made := map[string]bool{"/": true}
	for _, name := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := d.parents(snapshot, path.Dir(name), made); err != nil {
			return err
		}
		e, err := Lstat(snapshot+name, name)
		if err != nil {
			return err
		}
		if err := d.file(e); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return d.tar.Close()
}

// parents writes the directories down to dir that are not made yet.
func (d *differ) parents(snapshot, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	made[dir] = true
	if err := d.parents(snapshot, path.Dir(dir), made); err != nil {
		return err
	}
	e, err := Lstat(snapshot+dir, dir)
	if err != nil {
		return err
	}
	e.ModTime = time.Unix(SettledTime, 0)
	return d.header(e, nil, nil)
}
