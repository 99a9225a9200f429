package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Settle gives the files of the Python distributions that the draft has, the directories that they are in, and new ones
// above those SettledTime: else no two installations of one distribution would be the same. Byte code that names the time
// of its source names the new one; a distribution where that is not the time which the source has is left alone. The draft
// must not be mounted.
func (d *Draft) Settle() error {
	found, err := distributions(d.Dir())
	if err != nil {
		return err
	}
	owners := map[string]*distribution{}
	for _, dist := range found {
		for _, name := range dist.files {
			owners[name] = dist
		}
	}
	parts, codes := make([]*Part, len(found)), make([]map[string]int64, len(found))
	err = sideBySide(len(found), func(i int) error {
		if at, ok := pycTimes(d.Dir(), found[i], owners); ok {
			parts[i], codes[i] = partOf(found[i]), at
		}
		return nil
	})
	if err == nil {
		err = sideBySide(len(found), func(i int) error { return d.settlePycs(codes[i]) })
	}
	if err != nil {
		return err
	}
	names := d.settling(apart(slices.DeleteFunc(parts, func(p *Part) bool { return p == nil })))
	return sideBySide(len(names), func(i int) error {
		if err := settle(d.Dir() + names[i]); err != nil {
			return fmt.Errorf("setting the time of %s: %w", names[i], err)
		}
		return nil
	})
}

func (d *Draft) settlePycs(at map[string]int64) error {
	for name, offset := range at {
		if err := settlePyc(d.Dir()+name, offset); err != nil {
			return fmt.Errorf("setting the time of the source in %s: %w", name, err)
		}
	}
	return nil
}

// settling lists what gets SettledTime with the files of a.
func (d *Draft) settling(a *rootfs.Apart) []string {
	changed := map[string]bool{}
	for name := range a.Files {
		changed[name], changed[path.Dir(name)] = true, true
	}
	for name := range a.Dirs {
		if _, err := d.lower.Lstat(name); errors.Is(err, fs.ErrNotExist) {
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

func settle(path string) error {
	at := unix.Timespec{Sec: rootfs.SettledTime}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
