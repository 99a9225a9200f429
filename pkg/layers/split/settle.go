// Settling: times of what was installed, which must not tell when that was.

package split

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Settle gives the files of the Python distributions that an upper directory has, the directories that they are in, and new
// ones above those rootfs.SettledTime: else no two installations of one distribution would be the same. Byte code that names
// the time of its source names the new one; a distribution where that is not the time which the source has is left as it is.
func Settle(upper rootfs.Upper) error {
	found, err := Find(upper.Dir)
	if err != nil {
		return err
	}
	owners := map[string]*Distribution{}
	for _, dist := range found {
		for _, name := range dist.Files {
			owners[name] = dist
		}
	}
	parts, codes := make([]*Part, len(found)), make([]map[string]int64, len(found))
	err = sideBySide(len(found), func(i int) error {
		if at, ok := pycTimes(upper.Dir, found[i], owners); ok {
			parts[i], codes[i] = NewPart(found[i]), at
		}
		return nil
	})
	if err == nil {
		err = sideBySide(len(found), func(i int) error { return settlePycs(upper.Dir, codes[i]) })
	}
	if err != nil {
		return err
	}
	names := settling(upper, Apart(slices.DeleteFunc(parts, func(p *Part) bool { return p == nil })))
	return sideBySide(len(names), func(i int) error {
		if err := settle(upper.Dir + names[i]); err != nil {
			return fmt.Errorf("setting the time of %s: %w", names[i], err)
		}
		return nil
	})
}

// settlePycs lets the byte code at these paths name the settled time; the numbers say where in the file it is named.
func settlePycs(dir string, at map[string]int64) error {
	for name, offset := range at {
		if err := settlePyc(dir+name, offset); err != nil {
			return fmt.Errorf("setting the time of the source in %s: %w", name, err)
		}
	}
	return nil
}

// settling lists what gets the settled time with the files of a.
func settling(upper rootfs.Upper, a *rootfs.Apart) []string {
	changed := map[string]bool{}
	for name := range a.Files {
		changed[name], changed[path.Dir(name)] = true, true
	}
	for name := range a.Dirs {
		if _, err := upper.Lower.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			changed[name], changed[path.Dir(name)] = true, true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// sideBySide calls fn with the numbers below n, on all processors.
func sideBySide(n int, fn func(i int) error) error {
	workers := runtime.GOMAXPROCS(0)
	var group errgroup.Group
	for w := range workers {
		group.Go(func() error {
			for i := w; i < n; i += workers {
				if err := fn(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// settle sets the times of a file, of a link its own.
func settle(path string) error {
	at := unix.Timespec{Sec: rootfs.SettledTime}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
