// This file owns the two directories that a lease may have beside its cache: an empty one that stands for it, and the
// work directory of an overlay.

package pipcache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Renew lets the lease stand for an empty directory, with the owner and the mode of the cache. What is in it when the lease
// ends replaces what the cache has under the same names.
func (l *Lease) Renew() error {
	dir, remove, err := (&Caches{filepath.Dir(l.dir)}).Workspace()
	if err != nil {
		return fmt.Errorf("renewing cache: %w", err)
	}
	empty := filepath.Join(dir, dataDir)
	if err := makeLike(empty, l.Dir()); err != nil {
		return errors.Join(fmt.Errorf("renewing cache: %w", err), remove())
	}
	l.renewed = empty
	l.atEnd = func() error {
		l.renewed, l.atEnd = "", nil
		return errors.Join(Divide(empty, func(string) string { return l.Dir() }), remove())
	}
	return nil
}

// Work makes an empty directory beside that of the cache, for who mounts it as the upper one of an overlay. Only one that
// holds the cache alone may use it.
func (l *Lease) Work() (string, error) {
	dir := filepath.Join(l.dir, workDir)
	if err := removeAll(dir); err != nil {
		return "", fmt.Errorf("removing what an overlay left: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("making room for an overlay: %w", err)
	}
	return dir, nil
}
