// This file goes through the files that came into pip's cache during a lease.

package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// eachNew visits the files of pip's answers that came into its cache during the lease. One that is gone meanwhile is none.
func (l *Lease) eachNew(visit func(root *os.Root, path string, info fs.FileInfo) error) error {
	root, err := os.OpenRoot(l.Dir())
	if err != nil {
		return fmt.Errorf("reading cache: %w", err)
	}
	defer root.Close()
	for _, entries := range []string{newEntries, oldEntries} {
		err := fs.WalkDir(root.FS(), entries, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !isEntryName(d.Name()) {
				return ignoreGone(err)
			}
			info, err := d.Info()
			if err != nil || !info.Mode().IsRegular() || !changed(info.Sys().(*syscall.Stat_t), l.from) {
				return ignoreGone(err)
			}
			return visit(root, path, info)
		})
		if err != nil {
			return fmt.Errorf("reading cache: %w", err)
		}
	}
	return nil
}

// ignoreGone passes over what vanished meanwhile, is closed to this user, or has been made by another.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
