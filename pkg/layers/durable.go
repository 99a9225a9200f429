package layers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// randomName returns a name that no other process picks.
func randomName() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// writeFile makes or replaces the file at path in one step: what another process reads is the old or the new content.
// With sync set, the content and the name have reached the disk when it returns.
func writeFile(path string, data []byte, sync bool) (err error) {
	temp := filepath.Join(filepath.Dir(path), ".tmp-"+randomName())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp, path); err != nil || !sync {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeNew makes a file in a directory that nobody else looks into yet.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncFilesystem flushes everything that was written to the filesystem of dir: one call is far cheaper than an fsync for
// each file of a snapshot.
func syncFilesystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("flushing the filesystem of %s: %w", dir, err)
	}
	return nil
}

// writeBehind has the disk begin with a file while its end is still written: else all of it begins when it is flushed, and
// the build waits for a disk that had nothing to do before.
type writeBehind struct {
	file  *os.File
	begun int64
}

const behindBlock = 8 << 20 // large enough for the disk, and for the filesystem to find room in one piece

// reached says that the file is written up to end. Where that does not work, flushing takes longer, and no more.
func (b *writeBehind) reached(end int64) {
	if end-b.begun >= behindBlock {
		unix.SyncFileRange(int(b.file.Fd()), b.begun, end-b.begun, unix.SYNC_FILE_RANGE_WRITE)
		b.begun = end
	}
}

// errLocked says that somebody else holds a lock that was only to be tried.
var errLocked = errors.New("locked by another process")

// tryLock takes the flock of the file at path, which it makes, or returns errLocked. how is unix.LOCK_EX or LOCK_SH.
func tryLock(path string, how int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := retryEINTR(func() error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) }); err != nil {
			f.Close()
			if err == unix.EWOULDBLOCK {
				return nil, errLocked
			}
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if sameFile(f, path) {
			return f, nil
		}
		f.Close() // whoever held it has removed it: the name may be another file by now
	}
}

// lock waits for the flock of the file at path. It polls, because a blocked flock cannot be cancelled.
func lock(ctx context.Context, path string, how int) (*os.File, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		f, err := tryLock(path, how)
		if err != errLocked {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

func sameFile(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(held, now)
}

func retryEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
