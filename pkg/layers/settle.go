package layers

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Settle gives the files of the Python distributions that the draft has, the directories that they are in, and new ones
// above those SettledTime: else no two installations of one distribution would be the same. A distribution whose
// byte code names the times of its sources is left alone. The draft must not be mounted.
func (d *Draft) Settle() error {
	found, err := distributions(d.Dir())
	if err != nil {
		return err
	}
	parts := make([]*part, len(found))
	err = sideBySide(len(found), func(i int) error {
		if !slices.ContainsFunc(found[i].files, func(name string) bool { return timestamped(d.Dir() + name) }) {
			parts[i] = partOf(found[i])
		}
		return nil
	})
	if err != nil {
		return err
	}
	names := d.settling(newApart(slices.DeleteFunc(parts, func(p *part) bool { return p == nil })))
	return sideBySide(len(names), func(i int) error {
		if err := settle(d.Dir() + names[i]); err != nil {
			return fmt.Errorf("setting the time of %s: %w", names[i], err)
		}
		return nil
	})
}

// settling lists what gets SettledTime with the files of a.
func (d *Draft) settling(a *apart) []string {
	changed := map[string]bool{}
	for name := range a.files {
		changed[name], changed[path.Dir(name)] = true, true
	}
	for name := range a.dirs {
		if _, err := d.lower.Lstat(name); isNotExist(err) {
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
	at := unix.Timespec{Sec: SettledTime}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// timestamped says whether a file is byte code that holds only while its source keeps its time (PEP 552: the flags that
// follow the magic number are zero).
func timestamped(path string) bool {
	if !strings.HasSuffix(path, ".pyc") {
		return false
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return true
	}
	defer file.Close()
	var head [8]byte
	_, err = io.ReadFull(file, head[:])
	return err != nil || [4]byte(head[4:]) == [4]byte{}
}
