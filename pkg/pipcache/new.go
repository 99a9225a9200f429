// This file owns the making of a cache. A process may be killed at any moment: what is half made is made again.

package pipcache

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ready says whether a cache is complete. It must be locked, or the answer may be old.
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
func prepare(dir string, i Identity, o Options) error {
	if err := i.write(dir); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, dataDir)); err == nil {
		return nil
	}
	half := filepath.Join(dir, newData)
	if err := removeAll(half); err != nil {
		return fmt.Errorf("removing half a cache: %w", err)
	}
	if err := os.Mkdir(half, 0o755); err != nil {
		return fmt.Errorf("making cache: %w", err)
	}
	if o.Seed != nil {
		if err := o.Seed(half); err != nil {
			return fmt.Errorf("filling new cache: %w", err)
		}
	}
	if err := dress(half, o); err != nil {
		return err
	}
	if err := os.Rename(half, filepath.Join(dir, dataDir)); err != nil {
		return fmt.Errorf("making cache: %w", err)
	}
	return nil
}

// dress sets owner and mode: pip refuses a cache directory that its user does not own.
func dress(dir string, o Options) error {
	if o.OwnerGiven || o.Seed == nil {
		owner := rootfs.Owner{UID: o.UID, GID: o.GID}
		if err := owner.GivePath(dir); err != nil && !ownedBy(dir, owner) {
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

// ownedBy says whether a directory has its owner already: an ordinary user may not give it to anybody, not even to itself.
func ownedBy(dir string, owner rootfs.Owner) bool {
	e, err := rootfs.Lstat(dir, dir)
	return err == nil && e.Owner() == owner
}
