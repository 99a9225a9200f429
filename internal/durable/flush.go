// This file owns flushing: much at once, and early.

package durable

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncFilesystem flushes everything that was written to the filesystem of dir: one call is far cheaper than an fsync for
// each file of a snapshot.
func SyncFilesystem(dir string) error {
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

// Behind has the disk begin with a file while its end is still written. Otherwise all of it would begin when the file is
// flushed, and everybody would wait for a disk that had nothing to do before.
type Behind struct {
	File  *os.File
	begun int64
}

const behindBlock = 8 << 20 // large enough for the disk, and for the filesystem to find room in one piece

// Reached says that the file is written up to end. Where that does not work, flushing takes longer, and no more.
func (b *Behind) Reached(end int64) {
	if end-b.begun >= behindBlock {
		unix.SyncFileRange(int(b.File.Fd()), b.begun, end-b.begun, unix.SYNC_FILE_RANGE_WRITE)
		b.begun = end
	}
}
