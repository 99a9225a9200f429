// This file owns the removal of caches that somebody asked for, and of what earlier removals left.

package pipcache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/internal/durable"
)

// BusyError says that a cache cannot be removed now.
type BusyError struct {
	ID     string
	Holder string
}

// Error implements error.
func (e *BusyError) Error() string { return fmt.Sprintf("cache %q is in use by %s", e.ID, e.Holder) }

// Hint says what may help.
func (e *BusyError) Hint() string { return "wait for the build to end, or stop it" }

// Remove deletes the caches of the given ids: a whole id, the start of one, or the start of a key. It deletes none when
// one of them is unknown or in use. freed is in bytes on disk.
func (c *Caches) Remove(ctx context.Context, ids ...string) (freed int64, err error) {
	all, err := c.List()
	if err != nil {
		return 0, err
	}
	doomed := map[string]Info{}
	for _, id := range ids {
		found, err := Match(all, id)
		if err != nil {
			return 0, err
		}
		for _, i := range found {
			doomed[i.Key] = i
		}
	}
	locks, err := c.lockAll(doomed)
	defer func() {
		for _, f := range locks {
			f.Close()
		}
	}()
	if err != nil {
		return 0, err
	}
	for _, i := range doomed {
		if err := ctx.Err(); err != nil {
			return freed, context.Cause(ctx)
		}
		if err := c.remove(i.Key); err != nil {
			return freed, fmt.Errorf("removing cache %q: %w", i.ID, err)
		}
		freed += i.Size
	}
	return freed, errors.Join(c.sweep(), c.sweepBodies())
}

// lockAll takes every lock or fails; the locks it has taken are returned in either case.
func (c *Caches) lockAll(doomed map[string]Info) ([]*os.File, error) {
	var locks []*os.File
	for key, i := range doomed {
		f, err := c.lock(key, durable.Exclusive, refuse)
		if errors.Is(err, durable.ErrLocked) {
			return locks, &BusyError{i.ID, holder(c.path(key))}
		}
		if err != nil {
			return locks, fmt.Errorf("locking cache %q: %w", i.ID, err)
		}
		locks = append(locks, f)
	}
	return locks, nil
}

// remove takes the name away first, so that a cache is there or not, whenever the process is killed.
func (c *Caches) remove(key string) error {
	bin, err := os.MkdirTemp(c.dir, trash)
	if err != nil {
		return fmt.Errorf("making trash: %w", err)
	}
	if err := os.Rename(c.path(key), filepath.Join(bin, key)); err != nil {
		return fmt.Errorf("moving to trash: %w", err)
	}
	return removeAll(bin)
}

// sweep removes what a removal that was killed left behind.
func (c *Caches) sweep() error {
	c.reapWorkspaces()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("looking for trash: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), trash) {
			continue
		}
		if err := removeAll(filepath.Join(c.dir, e.Name())); err != nil {
			return fmt.Errorf("removing trash: %w", err)
		}
	}
	return nil
}
