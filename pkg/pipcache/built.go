// This file owns the end of caches of what is built. There is one for each thing that a build can see, so there are many, most of
// them never used again. They are kept only if there is something in them, for a time, and up to a size.

package pipcache

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
	// A cache goes that was not used for this long.
	BuiltAge = 30 * 24 * time.Hour

	// If all have more bytes on disk, those go first that were not used for the longest time.
	BuiltSize = 10_000_000_000
)

// ReleaseFilled ends the lease, and removes a cache without any file that nobody else has a lease on. kept says whether
// it is there.
func (l *Lease) ReleaseFilled() (kept bool, err error) {
	err = l.Release()
	c := &Caches{filepath.Dir(l.dir)}
	if !empty(l.Dir()) {
		return true, err
	}
	f, busy := c.lock(filepath.Base(l.dir), durable.Exclusive, refuse)
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

// TrimBuilt removes caches that have a scope and one of the given ids, whatever stands before a slash in theirs: those
// that were not used for the time of age, and of the others as many as are beyond size. What is in use stays. freed is in
// bytes on disk.
func (c *Caches) TrimBuilt(ctx context.Context, ids []string, age time.Duration, size int64) (freed int64, err error) {
	all, err := c.List()
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(i Info) bool { return i.Scope == "" || !i.Ours() || !slices.Contains(ids, path.Base(i.ID)) })
	oldest := time.Now().Add(-age)
	var total int64
	for _, i := range all { // The one that was used last is the first.
		if total += i.Size; total <= size && i.LastUsed.After(oldest) && i.Files > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return freed, context.Cause(ctx)
		}
		f, err := c.lock(i.Key, durable.Exclusive, refuse)
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
