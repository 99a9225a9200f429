// This file owns the clock of a file system: by the ctime of a copy it is known later whether the copy was changed.

package filecopy

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// errClock says that changes cannot be told by their times.
var errClock = errors.New("the times of this filesystem do not go on")

// Now is the ctime, in nanoseconds, that a change of a file in dir gets now.
func Now(dir string) (ctime int64, err error) {
	probe := filepath.Join(dir, ".clock-"+rand.Text())
	defer os.Remove(probe)
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return 0, err
	}
	var st unix.Stat_t
	err = unix.Lstat(probe, &st)
	return st.Ctim.Nano(), err
}

// WaitPast waits until a change of a file in dir gets a later ctime than t. The clock of a filesystem goes in steps, of a hundredth of a
// second or of whole ones; what changes in the step of the last look would seem unchanged.
func WaitPast(dir string, t int64) error {
	for wait, end := time.Millisecond, time.Now().Add(10*time.Second); time.Now().Before(end); wait = min(2*wait, 50*time.Millisecond) {
		now, err := Now(dir)
		if err != nil || now > t {
			return err
		}
		time.Sleep(wait)
	}
	return errClock
}
