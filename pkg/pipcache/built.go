package pipcache

// Caches of what is built: one for each thing that a build can see, so that there are many, most of them never used again.
// They are kept only if there is something in them, for a time, and up to a size.

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
)

// Bounds of all caches of what is built together.
const (
	BuiltAge  = 30 * 24 * time.Hour // since the last use
	BuiltSize = 10_000_000_000      // bytes on disk; those that were used least recently go first
)

// ReleaseFilled ends the lease, and removes a cache without any file that nobody else has a lease on. kept says whether
// it is there.
func (l *Lease) ReleaseFilled() (kept bool, err error) {
	err = l.Release()
	c := &Caches{filepath.Dir(l.dir)}
	if !empty(l.Dir()) {
		return true, err
	}
	f, busy := c.lock(filepath.Base(l.dir), durable.Exclusive, func() error { return durable.ErrLocked })
	if busy != nil {
		return true, err
	}
	defer f.Close()
	if !empty(l.Dir()) {
		return true, err
	}
	return false, errors.Join(err, c.remove(filepath.Base(l.dir)))
}

// empty says whether a cache has no file. What cannot be read is not.
func empty(dir string) bool {
	found, err := scan(dir, nil)
	return err == nil && found.files == 0
}

// TrimBuilt removes caches of the given ids, whatever is before a slash in theirs, that have a scope, and were not used since age or are too much together. What
// is in use stays. freed is in bytes on disk.
func (c *Caches) TrimBuilt(ctx context.Context, ids []string, age time.Duration, size int64) (freed int64, err error) {
	all, err := c.List()
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(i Info) bool { return i.Scope == "" || !slices.Contains(ids, path.Base(i.ID)) })
	oldest := time.Now().Add(-age)
	var total int64
	for _, i := range all { // the one that was used last first
		if total += i.Size; total <= size && i.LastUsed.After(oldest) && i.Files > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return freed, context.Cause(ctx)
		}
		f, err := c.lock(i.Key, durable.Exclusive, func() error { return durable.ErrLocked })
		if errors.Is(err, durable.ErrLocked) {
			continue
		}
		if err == nil {
			err = c.remove(i.Key)
			f.Close()
		}
		if err != nil {
			return freed, fmt.Errorf("removing cache %q: %w", i.ID, err)
		}
		freed, total = freed+i.Size, total-i.Size
	}
	return freed, nil
}
