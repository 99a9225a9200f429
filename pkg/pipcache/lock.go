// This file owns the lock of a cache: a flock of a file beside its data. It also says who holds it, but only for
// messages: nothing is decided by that.

package pipcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
)

// pollEvery is how often a busy cache is tried again: flock(2) cannot wait and be cancelled.
const pollEvery = 100 * time.Millisecond

// lock opens and locks the lock file of a cache, and makes its directory. wait is called while another holds it.
func (c *Caches) lock(key string, how durable.Mode, wait func() error) (*os.File, error) {
	dir := c.path(key)
	for {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making cache: %w", err)
		}
		f, err := durable.TryLock(filepath.Join(dir, lockFile), how)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, fs.ErrNotExist): // It was removed between the two calls.
			continue
		case !errors.Is(err, durable.ErrLocked):
			return nil, fmt.Errorf("opening lock: %w", err)
		}
		if err := wait(); err != nil {
			return nil, err
		}
	}
}

// refuse does not wait for a lock.
func refuse() error { return durable.ErrLocked }

// pause waits until a lock may be tried again.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollEvery):
		return nil
	}
}

// sign writes who holds an exclusive lock, for messages only.
func sign(f *os.File) {
	_ = f.Truncate(0)
	_, _ = fmt.Fprintf(f, "process %d", os.Getpid())
}

// busy tries the lock without making anything.
func busy(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(durable.TryHold(f, durable.Exclusive), durable.ErrLocked)
}

// holder names the process that has the lock of a cache: as the kernel says, or, where it cannot see that process, as the
// last one wrote that had the cache for itself.
func holder(dir string) string {
	name := filepath.Join(dir, lockFile)
	if pid := lockedBy(name); pid == os.Getpid() {
		return fmt.Sprintf("another step of this build (process %d)", pid)
	} else if pid > 0 {
		return fmt.Sprintf("another build (process %d)", pid)
	}
	text, err := os.ReadFile(name)
	if err != nil || len(text) == 0 || len(text) > 100 {
		return "another build"
	}
	return "another build (" + string(text) + ")"
}

// lockedBy finds the process that holds a lock of a file in the kernel's list of locks; 0 where that does not say.
func lockedBy(name string) int {
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		return 0
	}
	list, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(list)) {
		var n, kind, advice, access, where string
		var pid int
		if _, err := fmt.Sscan(line, &n, &kind, &advice, &access, &pid, &where); err == nil && kind == "FLOCK" && where == file {
			return pid
		}
	}
	return 0
}
