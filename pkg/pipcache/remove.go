package pipcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// UnknownError says that an id means no cache, or several.
type UnknownError struct {
	ID    string
	Means []string // several that it may mean
	Have  string   // all that there are
}

// Error implements error.
func (e *UnknownError) Error() string {
	if len(e.Means) > 0 {
		return fmt.Sprintf("%q may mean several caches: %s", e.ID, strings.Join(e.Means, ", "))
	}
	return fmt.Sprintf("there is no cache %q", e.ID)
}

// Hint lists what there is.
func (e *UnknownError) Hint() string {
	switch {
	case len(e.Means) > 0:
		return "give the whole id"
	case e.Have == "":
		return "there are no caches at all"
	}
	return "there are: " + e.Have
}

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

// Match finds the caches that an id means: a whole id, the start of one, or the start of a key. One id may have several: for
// other owners, and for private use.
func Match(all []Info, id string) ([]Info, error) {
	var exact, started []Info
	for _, i := range all {
		switch {
		case i.ID == id || i.Key == id:
			exact = append(exact, i)
		case id != "" && (strings.HasPrefix(i.ID, id) || strings.HasPrefix(i.Key, id)):
			started = append(started, i)
		}
	}
	if len(exact) > 0 {
		return exact, nil
	}
	ids := names(started)
	if len(started) == 0 {
		return nil, &UnknownError{ID: id, Have: names(all)}
	}
	for _, i := range started {
		if i.ID != started[0].ID {
			return nil, &UnknownError{ID: id, Means: strings.Split(ids, ", ")}
		}
	}
	return started, nil
}

// lockAll takes every lock or fails; the locks it has taken are returned in either case.
func (c *Caches) lockAll(doomed map[string]Info) ([]*os.File, error) {
	var locks []*os.File
	for key, i := range doomed {
		f, err := c.lock(key, durable.Exclusive, func() error { return durable.ErrLocked })
		if errors.Is(err, durable.ErrLocked) {
			return locks, &BusyError{i.ID, holder(filepath.Join(c.dir, key))}
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
	if err := os.Rename(filepath.Join(c.dir, key), filepath.Join(bin, key)); err != nil {
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

// removeAll also removes directories that a build closed to their owner.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			// Each directory is opened before it is read; what cannot be opened fails again below, with its path.
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
