package pipcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
)

// Sharing says what happens when several builds want one cache at once.
type Sharing string

// The ways of sharing, as in RUN --mount=type=cache,sharing=…
const (
	Shared  Sharing = "shared"  // all use the same directory
	Private Sharing = "private" // each has its own; one that is free is used again
	Locked  Sharing = "locked"  // one after the other
)

// Options say which cache is meant beside its id, and how a new one starts.
type Options struct {
	Trust      string                 // whose the cache is: nobody else gets it by its id
	Scope      string                 // parts caches of one owner and equal ids
	About      string                 // says to people what the scope of a new cache is; no part of what names it
	UID, GID   int                    // owner of a new cache; part of what names it when OwnerGiven
	OwnerGiven bool                   //
	Mode       uint32                 // permission bits of a new cache; 0 is 0755. Part of what names it when given
	Seed       func(dir string) error // fills a new cache; metadata of dir that it sets stays, unless given here
	Waiting    func(holder string)    // called once when the cache is in use and has to be waited for
}

// Lease is the right to use a cache until Release, or until the process ends.
type Lease struct {
	dir  string
	lock *os.File

	renewed string // what stands for the cache, see Renew
	remove  func() error

	from syscall.Timespec // by the clock of the file system
	once sync.Once
}

// pollEvery is how often a busy cache is tried again: flock(2) cannot wait and be cancelled.
const pollEvery = 100 * time.Millisecond

// Acquire leases the cache of an id, which it makes where there is none. It waits while a locked cache is in use.
func (c *Caches) Acquire(ctx context.Context, id string, s Sharing, o Options) (*Lease, error) {
	m := newMeta(id, o)
	var lock *os.File
	var err error
	name := m.name()
	switch s {
	case Shared, "":
		lock, err = c.share(ctx, name, m, o)
	case Locked:
		lock, err = c.own(name, m, o, c.waiter(ctx, name, o))
	case Private:
		lock, name, err = c.free(name, m, o)
	default:
		return nil, fmt.Errorf("acquiring cache %q: unknown sharing %q", id, s)
	}
	if err != nil {
		return nil, fmt.Errorf("acquiring cache %q: %w", id, err)
	}
	l := &Lease{dir: filepath.Join(c.dir, name), lock: lock}
	if err := l.touch(); err != nil {
		lock.Close()
		return nil, err
	}
	return l, nil
}

// Borrow leases the cache of an id to be read, where there is one that nobody holds alone; else it returns nil. It does not
// wait, so that two who borrow from each other never wait for each other.
func (c *Caches) Borrow(id string, o Options) (*Lease, error) {
	name := newMeta(id, o).name()
	dir := filepath.Join(c.dir, name)
	if !ready(dir) {
		return nil, nil
	}
	lock, err := c.lock(name, durable.Shared, func() error { return durable.ErrLocked })
	if errors.Is(err, durable.ErrLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("borrowing cache %q: %w", id, err)
	}
	if !ready(dir) { // removed meanwhile
		lock.Close()
		return nil, nil
	}
	l := &Lease{dir: dir, lock: lock}
	return l, l.touch()
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

// share takes a shared lock. A cache that is not there yet is made under an exclusive one first.
func (c *Caches) share(ctx context.Context, name string, m meta, o Options) (*os.File, error) {
	for {
		f, err := c.lock(name, durable.Shared, c.waiter(ctx, name, o))
		if err != nil || ready(filepath.Join(c.dir, name)) {
			return f, err
		}
		f.Close()
		f, err = c.own(name, m, o, c.waiter(ctx, name, o))
		if err != nil {
			return nil, err
		}
		_ = f.Truncate(0) // this process is the holder no longer
		f.Close()
	}
}

// own takes an exclusive lock, and makes the cache when it is not there.
func (c *Caches) own(name string, m meta, o Options, wait func() error) (*os.File, error) {
	f, err := c.lock(name, durable.Exclusive, wait)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.dir, name)
	if !ready(dir) {
		if err := prepare(dir, m, o); err != nil {
			f.Close()
			return nil, err
		}
	}
	sign(f)
	return f, nil
}

// free takes the first directory of a private cache that nobody uses.
func (c *Caches) free(base string, m meta, o Options) (*os.File, string, error) {
	name := base
	for n := 1; ; n++ {
		f, err := c.own(name, m, o, func() error { return durable.ErrLocked })
		if !errors.Is(err, durable.ErrLocked) {
			return f, name, err
		}
		name = fmt.Sprintf("%s.%d", base, n)
	}
}

// lock opens and locks the lock file of a cache. wait is called while another holds it.
func (c *Caches) lock(name string, how durable.Mode, wait func() error) (*os.File, error) {
	dir := filepath.Join(c.dir, name)
	for {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making cache: %w", err)
		}
		f, err := durable.TryLock(filepath.Join(dir, lockFile), how)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, fs.ErrNotExist): // removed between the two calls
			continue
		case !errors.Is(err, durable.ErrLocked):
			return nil, fmt.Errorf("opening lock: %w", err)
		}
		if err := wait(); err != nil {
			return nil, err
		}
	}
}

// waiter reports once who holds the cache, and then paces the tries.
func (c *Caches) waiter(ctx context.Context, name string, o Options) func() error {
	told := false
	return func() error {
		if !told && o.Waiting != nil {
			o.Waiting(holder(filepath.Join(c.dir, name)))
		}
		told = true
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollEvery):
			return nil
		}
	}
}

// sign writes who holds an exclusive lock, for messages only.
func sign(f *os.File) {
	_ = f.Truncate(0)
	_, _ = fmt.Fprintf(f, "process %d", os.Getpid())
}

func ready(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, dataDir))
	if err != nil || !info.IsDir() {
		return false
	}
	_, err = os.Lstat(filepath.Join(dir, metaFile))
	return err == nil
}

// prepare makes meta.json and then data. The caller holds the exclusive lock; data gets its name last, so that a cache
// with data is complete, whenever the process is killed.
func prepare(dir string, m meta, o Options) error {
	if err := m.write(dir); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, dataDir)); err == nil {
		return nil
	}
	fresh := filepath.Join(dir, newPrefix)
	if err := removeAll(fresh); err != nil {
		return fmt.Errorf("removing half a cache: %w", err)
	}
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return fmt.Errorf("making cache: %w", err)
	}
	if o.Seed != nil {
		if err := o.Seed(fresh); err != nil {
			return fmt.Errorf("filling new cache: %w", err)
		}
	}
	if err := dress(fresh, o); err != nil {
		return err
	}
	if err := os.Rename(fresh, filepath.Join(dir, dataDir)); err != nil {
		return fmt.Errorf("making cache: %w", err)
	}
	return nil
}

// dress sets owner and mode: pip refuses a cache directory that its user does not own.
func dress(dir string, o Options) error {
	if o.OwnerGiven || o.Seed == nil {
		if err := os.Chown(dir, o.UID, o.GID); err != nil && !ownedBy(dir, o.UID, o.GID) {
			return fmt.Errorf("giving cache to %d:%d: %w", o.UID, o.GID, err)
		}
	}
	mode := o.Mode
	if mode == 0 && o.Seed == nil {
		mode = 0o755
	}
	if mode == 0 {
		return nil
	}
	// Not os.Chmod: its FileMode has other bits for setuid, setgid and sticky.
	if err := syscall.Chmod(dir, mode&0o7777); err != nil {
		return fmt.Errorf("setting mode of cache: %w", err)
	}
	return nil
}

func ownedBy(dir string, uid, gid int) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid) == uid && int(st.Gid) == gid
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
		err = l.replace()
		_ = l.lock.Truncate(0)
		now := time.Now()
		err = errors.Join(err, os.Chtimes(filepath.Join(l.dir, metaFile), now, now), l.lock.Close())
	})
	if err != nil {
		return fmt.Errorf("releasing cache: %w", err)
	}
	return nil
}
