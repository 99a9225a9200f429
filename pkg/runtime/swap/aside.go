// This file owns what the root has in the place of a thing that is shown: how it is put aside, and how it comes back.

package swap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
)

// putAside puts aside what is at a target. A directory that an overlay has from a lower layer cannot be renamed: what is in it is moved
// to another one, which has all of it before the first is removed.
func (s *Swap) putAside(target string, e entry) error {
	err := s.do("stash", func() error { return os.Rename(target, e.Stash) })
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	if err := s.moveAll(target, e.half()); err != nil {
		return err
	}
	if err := s.do("stash", func() error { return os.Rename(e.half(), e.Stash) }); err != nil {
		return err
	}
	return s.do("stash", func() error { return os.RemoveAll(target) })
}

// half is where that is which is put aside, while not all of it is.
func (e entry) half() string { return e.Stash + ".half" }

// moveAll moves what is in a directory to a new one, which becomes like it.
func (s *Swap) moveAll(from, to string) error {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.EXDEV
	}
	if err := s.do("stash", func() error { return os.Mkdir(to, 0o700) }); err != nil {
		return err
	}
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, d := range list {
		name := "/" + d.Name()
		err := s.do("stash", func() error { return os.Rename(from+name, to+name) })
		if errors.Is(err, unix.EXDEV) {
			err = s.moveAll(from+name, to+name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name(), err)
		}
	}
	return s.do("stash", func() error { return filecopy.Metadata(from, to, &st, nil) })
}

// unstash brings back what the root had in a place, also where the command has something there of its own.
func (s *Swap) unstash(e entry, target string) error {
	if exists(e.half()) { // so nothing was shown
		if err := s.moveBack(e.half(), target); err != nil {
			return err
		}
	}
	if !exists(e.Stash) {
		return nil
	}
	return s.do("unstash", func() error {
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		return os.Rename(e.Stash, target)
	})
}

// moveBack undoes moveAll, which may have been done in part.
func (s *Swap) moveBack(from, to string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, d := range list {
		name := filepath.Join("/", d.Name())
		if d.IsDir() && exists(to+name) {
			err = s.moveBack(from+name, to+name)
		} else {
			err = s.do("unstash", func() error { return os.Rename(from+name, to+name) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name(), err)
		}
	}
	return s.do("unstash", func() error { return os.Remove(from) })
}
