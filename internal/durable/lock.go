// This file owns locks. They are those of flock(2): the kernel takes them away when the last process ends that has the file
// open, so that a lock says who lives. They work between processes of one machine; a network file system may not keep
// them.

package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Mode says who else may hold a lock.
type Mode int

// The modes of a lock.
const (
	Shared    Mode = unix.LOCK_SH // all who hold it in this mode
	Exclusive Mode = unix.LOCK_EX // nobody
)

// ErrLocked says that another holds a lock that was only tried.
var ErrLocked = errors.New("locked by another process")

// Hold locks an open file, or directory, until it is closed. It waits as long as that takes.
func Hold(f *os.File, m Mode) error { return flock(f, int(m)) }

// TryHold locks an open file, or directory, until it is closed, or returns ErrLocked.
func TryHold(f *os.File, m Mode) error { return flock(f, int(m)|unix.LOCK_NB) }

func flock(f *os.File, how int) error {
	for {
		switch err := unix.Flock(int(f.Fd()), how); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return ErrLocked
		default:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// TryLock opens the file at path, which it makes where there is none, and locks it until it is closed; or it returns
// ErrLocked. The file has its name when TryLock returns: a holder may remove it, and only a holder.
func TryLock(path string, m Mode) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := TryHold(f, m); err != nil {
			f.Close()
			return nil, err
		}
		named, err := hasName(f)
		if named {
			return f, nil
		}
		f.Close() // whoever held it has removed it: the name may be another file by now
		if err != nil {
			return nil, err
		}
	}
}

// Lock is TryLock that waits. It polls, because a flock that waits cannot be cancelled.
func Lock(ctx context.Context, path string, m Mode) (*os.File, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		f, err := TryLock(path, m)
		if !errors.Is(err, ErrLocked) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// hasName says whether the file is still the one that its name means.
func hasName(f *os.File) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, now), err
}
