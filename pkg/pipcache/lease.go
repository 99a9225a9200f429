// This file owns leases: how one is had, by one build or by many at once, and how it ends.

package pipcache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
)

// Sharing says what happens when several builds want one cache at once.
type Sharing string

// These are the values of sharing= in RUN --mount=type=cache.
const (
	Shared  Sharing = "shared"  // All use the same directory.
	Private Sharing = "private" // Each has its own; one that is free is used again.
	Locked  Sharing = "locked"  // One uses it after the other.
)

// Lease is the right to use a cache until Release, or until the process ends.
type Lease struct {
	// The cache's own directory has data in it, and what is about data.
	dir string

	// The lease ends when this is closed.
	lock *os.File

	// This directory stands for the data of the cache, where Renew has made one; Release calls atEnd first then.
	renewed string
	atEnd   func() error

	// The lease began then, by the clock of the file system that the cache is on.
	from syscall.Timespec
	once sync.Once
}

// Acquire leases the cache of an id, which it makes where there is none. It waits while a locked cache is in use.
func (c *Caches) Acquire(ctx context.Context, id string, s Sharing, o Options) (*Lease, error) {
	w := &wanted{caches: c, identity: newIdentity(id, o), options: o}
	w.key = w.identity.Key()
	var lock *os.File
	var err error
	switch s {
	case Shared, "":
		lock, err = w.share(ctx)
	case Locked:
		lock, err = w.own(w.waiter(ctx))
	case Private:
		lock, err = w.free()
	default:
		return nil, fmt.Errorf("acquiring cache %q: unknown sharing %q", id, s)
	}
	if err != nil {
		return nil, fmt.Errorf("acquiring cache %q: %w", id, err)
	}
	l := &Lease{dir: c.path(w.key), lock: lock}
	if err := l.touch(); err != nil {
		lock.Close()
		return nil, err
	}
	return l, nil
}

// Borrow leases the cache of an id to be read, where there is one that nobody holds alone; else it returns nil. It does not
// wait, so that two who borrow from each other never wait for each other.
func (c *Caches) Borrow(id string, o Options) (*Lease, error) {
	key := newIdentity(id, o).Key()
	dir := c.path(key)
	if !ready(dir) {
		return nil, nil
	}
	lock, err := c.lock(key, durable.Shared, refuse)
	if errors.Is(err, durable.ErrLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("borrowing cache %q: %w", id, err)
	}
	if !ready(dir) { // It was removed meanwhile.
		lock.Close()
		return nil, nil
	}
	l := &Lease{dir: dir, lock: lock}
	return l, l.touch()
}

// wanted is a cache that is asked for, in one of its directories.
type wanted struct {
	caches   *Caches
	identity Identity
	options  Options
	key      string // This names the directory: for sharing=private it is one of several.
}

// share takes a shared lock. A cache that is not there yet is made under an exclusive one first.
func (w *wanted) share(ctx context.Context) (*os.File, error) {
	for {
		f, err := w.caches.lock(w.key, durable.Shared, w.waiter(ctx))
		if err != nil || ready(w.caches.path(w.key)) {
			return f, err
		}
		f.Close()
		f, err = w.own(w.waiter(ctx))
		if err != nil {
			return nil, err
		}
		_ = f.Truncate(0) // This process is the holder no longer.
		f.Close()
	}
}

// own takes an exclusive lock, and makes the cache when it is not there.
func (w *wanted) own(wait func() error) (*os.File, error) {
	f, err := w.caches.lock(w.key, durable.Exclusive, wait)
	if err != nil {
		return nil, err
	}
	if dir := w.caches.path(w.key); !ready(dir) {
		if err := prepare(dir, w.identity, w.options); err != nil {
			f.Close()
			return nil, err
		}
	}
	sign(f)
	return f, nil
}

// free takes the first directory of a private cache that nobody uses.
func (w *wanted) free() (*os.File, error) {
	first := w.key
	for n := 1; ; n++ {
		f, err := w.own(refuse)
		if !errors.Is(err, durable.ErrLocked) {
			return f, err
		}
		w.key = fmt.Sprintf("%s.%d", first, n)
	}
}

// waiter waits for the lock of the cache, and says once who holds it.
func (w *wanted) waiter(ctx context.Context) func() error {
	told := false
	return func() error {
		if !told && w.options.Waiting != nil {
			w.options.Waiting(holder(w.caches.path(w.key)))
		}
		told = true
		return pause(ctx)
	}
}

// Dir is the directory to bind into the RUN.
func (l *Lease) Dir() string {
	if l.renewed != "" {
		return l.renewed
	}
	return filepath.Join(l.dir, dataDir)
}

// touch notes the use, and takes the time by the clock that files in the cache get theirs from.
func (l *Lease) touch() error {
	now := time.Now()
	path := filepath.Join(l.dir, metaFile)
	if err := os.Chtimes(path, now, now); err != nil {
		return fmt.Errorf("noting use of cache: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("noting use of cache: %w", err)
	}
	l.from = info.Sys().(*syscall.Stat_t).Ctim
	return nil
}

// Release ends the lease. It may be called more than once.
func (l *Lease) Release() (err error) {
	l.once.Do(func() {
		if l.atEnd != nil {
			err = l.atEnd()
		}
		_ = l.lock.Truncate(0)
		now := time.Now()
		err = errors.Join(err, os.Chtimes(filepath.Join(l.dir, metaFile), now, now), l.lock.Close())
	})
	if err != nil {
		return fmt.Errorf("releasing cache: %w", err)
	}
	return nil
}
