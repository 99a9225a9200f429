// This file owns what is copied: trees into the root, and caches back to where they lie.

package swap

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
)

// same says where a file lies that is the same as the one at name below what is copied; "" for nowhere.
type same func(name string, st *unix.Stat_t) string

// copyTree copies a file, or a directory with all that is in it. What is the same as another file becomes a name of that; unchanged may
// be nil.
func copyTree(ctx context.Context, from, to string, unchanged same) error {
	c := filecopy.New(nil)
	var dirs []string
	err := filepath.WalkDir(from, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		inside := name[len(from):]
		isDir, err := copyName(c, name, to+inside, inside, unchanged)
		if isDir {
			dirs = append(dirs, inside)
		}
		return err
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- { // what is made in a directory changes its times
		var st unix.Stat_t
		if err = unix.Lstat(from+dirs[i], &st); err == nil {
			err = filecopy.Metadata(from+dirs[i], to+dirs[i], &st, nil)
		}
	}
	return err
}

// copyName copies one name of a tree. A directory gets its metadata later.
func copyName(c *filecopy.Copier, from, to, inside string, unchanged same) (isDir bool, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return false, &os.PathError{Op: "lstat", Path: from, Err: err}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return true, os.Mkdir(to, 0o700)
	case unix.S_IFSOCK: // nobody listens there any more
		return false, nil
	case unix.S_IFREG:
		if unchanged == nil {
			break
		}
		if old := unchanged(inside, &st); old != "" && os.Link(old, to) == nil {
			return false, nil
		}
	}
	return false, c.File(from, to, &st)
}

// bringBack replaces a cache by what became of the copy of it. The cache is whole at any moment, under its own name or, between two
// renames, under the new one.
func (s *Swap) bringBack(e entry) error {
	if !e.Back || !exists(e.Out) {
		return nil
	}
	fresh, old := e.Source+".swap-new", e.Source+".swap-old"
	if !exists(e.Source) && exists(fresh) { // whoever was killed had come so far
		if err := s.do("replace", func() error { return os.Rename(fresh, e.Source) }); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(old)); err != nil {
		return err
	}
	if err := s.do("copy back", func() error { return copyTree(context.Background(), e.Out, fresh, s.unchangedIn(e.Source)) }); err != nil {
		return err
	}
	if exists(e.Source) {
		if err := s.do("move away", func() error { return os.Rename(e.Source, old) }); err != nil {
			return err
		}
	}
	if err := s.do("replace", func() error { return os.Rename(fresh, e.Source) }); err != nil {
		return err
	}
	return s.do("drop", func() error { return os.RemoveAll(old) })
}

// unchangedIn finds the files of a cache that the command has not changed in its copy.
func (s *Swap) unchangedIn(source string) same {
	return func(name string, st *unix.Stat_t) string {
		var there unix.Stat_t
		if st.Ctim.Nano() > s.journal.Tick || unix.Lstat(source+name, &there) != nil {
			return ""
		}
		if there.Mode != st.Mode || there.Size != st.Size || there.Mtim != st.Mtim || there.Uid != st.Uid || there.Gid != st.Gid {
			return ""
		}
		return source + name
	}
}
