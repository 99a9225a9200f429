// This file words the error of a full file system: how much an image needs, and how much is free.

package image

import (
	"errors"
	"fmt"
	"syscall"
)

// SpaceError says that a file system is full. Need and Have are bytes.
type SpaceError struct {
	Dir        string
	Need, Have int64
	Err        error
}

// Error implements error.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("no space left in %s: the image needs %d MiB, %d MiB are free", e.Dir, e.Need>>20, e.Have>>20)
}

// Unwrap returns the cause.
func (e *SpaceError) Unwrap() error { return e.Err }

// Hint says what may help.
func (e *SpaceError) Hint() string { return "free some space, or write to another file system" }

// withSpace adds the figures to an error of a full file system.
func withSpace(err error, dir string, need int64) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return err
	}
	return &SpaceError{dir, need, int64(st.Bavail) * st.Bsize, err}
}
