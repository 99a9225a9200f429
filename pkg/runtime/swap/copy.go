// This file owns what is copied: trees into the root, and caches back to where they lie.

package swap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/filecopy"
)

// same says where a file lies that is the same as the one at name below what is copied; "" for nowhere.
type same func(name string, st *unix.Stat_t) string

// copyTree copies a file, or a directory with all that is in it. What is the same as another file becomes a name of that; unchanged may
// be nil. It says whether a file was written.
func copyTree(ctx context.Context, from, to string, unchanged same) (wrote bool, err error) {
	c := filecopy.New(nil)
	var dirs []string
	err = filepath.WalkDir(from, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		inside := name[len(from):]
		what, err := copyName(c, name, to+inside, inside, unchanged)
		if what == madeDir {
			dirs = append(dirs, inside)
		}
		wrote = wrote || what == wroteFile
		return err
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- { // what is made in a directory changes its times
		var st unix.Stat_t
		if err = unix.Lstat(from+dirs[i], &st); err == nil {
			err = filecopy.Metadata(from+dirs[i], to+dirs[i], &st, nil)
		}
	}
	return wrote, err
}

// copyIn is copyTree of what a command gets.
func copyIn(ctx context.Context, from, to string) error {
	_, err := copyTree(ctx, from, to, nil)
	return err
}

// did is what became of one name of a tree.
type did int

const (
	nothing did = iota
	madeDir
	wroteFile
)

// copyName copies one name of a tree. A directory gets its metadata later.
func copyName(c *filecopy.Copier, from, to, inside string, unchanged same) (did, error) {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return nothing, &os.PathError{Op: "lstat", Path: from, Err: err}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return madeDir, os.Mkdir(to, 0o700)
	case unix.S_IFSOCK: // nobody listens there any more
		return nothing, nil
	case unix.S_IFREG:
		if unchanged != nil {
			if old := unchanged(inside, &st); old != "" && os.Link(old, to) == nil {
				return nothing, nil
			}
		}
		return wroteFile, c.File(from, to, &st)
	}
	return nothing, c.File(from, to, &st)
}

// bringBack replaces caches by what became of the copies of them. All are copied before the first is replaced, and what was written has
// reached the disk by then. A cache is whole at any moment, under its own name or, between two renames, under the new one.
func (s *Swap) bringBack() error {
	var all []entry
	for _, e := range s.journal.Entries {
		if e.Back && exists(e.Out) {
			all = append(all, e)
		}
	}
	written := map[uint64]string{} // a directory of each file system
	for _, e := range all {
		if err := s.copyBack(e, written); err != nil {
			return fmt.Errorf("%s: %w", e.Target, err)
		}
	}
	for _, dir := range written {
		if err := s.do("flush", func() error { return durable.SyncFilesystem(dir) }); err != nil {
			return err
		}
	}
	for _, e := range all {
		if err := s.replace(e); err != nil {
			return fmt.Errorf("%s: %w", e.Target, err)
		}
	}
	return nil
}

// fresh and old are where a cache is while it is replaced.
func (e entry) fresh() string { return e.Source + ".swap-new" }
func (e entry) old() string   { return e.Source + ".swap-old" }

// copyBack makes the new cache beside the one that is there, and notes where it has written.
func (s *Swap) copyBack(e entry, written map[uint64]string) error {
	if !exists(e.Source) && exists(e.fresh()) { // whoever was killed had come so far
		if err := s.do("replace", func() error { return os.Rename(e.fresh(), e.Source) }); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(e.fresh()), os.RemoveAll(e.old())); err != nil {
		return err
	}
	return s.do("copy back", func() error {
		wrote, err := copyTree(context.Background(), e.Out, e.fresh(), s.unchangedIn(e.Source))
		var st unix.Stat_t
		if err == nil && wrote {
			err = unix.Lstat(e.fresh(), &st)
			written[st.Dev] = e.fresh()
		}
		return err
	})
}

// replace gives the new cache its name.
func (s *Swap) replace(e entry) error {
	if exists(e.Source) {
		if err := s.do("move away", func() error { return os.Rename(e.Source, e.old()) }); err != nil {
			return err
		}
	}
	if err := s.do("replace", func() error { return os.Rename(e.fresh(), e.Source) }); err != nil {
		return err
	}
	return s.do("drop", func() error { return os.RemoveAll(e.old()) })
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
