// This file moves the files of one directory into several caches, as its caller chooses for each. It serves uv's cache, in which
// fetched files belong to one cache and built ones to another.

package pipcache

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Below is chosen for a directory whose entries are to be divided, one by one.
const Below = "/"

// Divide moves each entry of a directory to the directory that choose returns for it; "" leaves it. A file of the same name there
// is replaced, a directory is merged, and a whiteout (dir may be an overlay's upper directory) removes what it hides.
func Divide(dir string, choose func(path string) (into string)) error {
	from, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	return divide(from, "", choose)
}

// divide divides the directory from, which has the path dir in the one that is divided.
func divide(from *os.File, dir string, choose func(string) string) error {
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		switch into := choose(path.Join(dir, name)); into {
		case "":
		case Below:
			below, err := openIn(from, name)
			if err == nil {
				err = divide(below, path.Join(dir, name), choose)
				below.Close()
			}
			if err != nil {
				return fmt.Errorf("keeping %s: %w", name, err)
			}
		default:
			if err := moveInto(from, dir, name, into); err != nil {
				return fmt.Errorf("keeping %s: %w", name, err)
			}
		}
	}
	return nil
}

// moveInto moves an entry of from into the directory dir below into.
func moveInto(from *os.File, dir, name, into string) error {
	to, err := os.Open(into)
	if err != nil {
		return err
	}
	defer func() { to.Close() }()
	if dir != "" {
		below, err := makeIn(to, dir, from)
		if err != nil {
			return err
		}
		to.Close()
		to = below
	}
	return moveEntry(from, to, name)
}

// makeIn opens the directory name in another one, and makes it with owner and mode of like where there is none.
func makeIn(dir *os.File, name string, like *os.File) (*os.File, error) {
	below, err := openIn(dir, name)
	if !errors.Is(err, unix.ENOENT) {
		return below, err
	}
	from, err := rootfs.Lstat(fmt.Sprintf("/proc/self/fd/%d/.", like.Fd()), name)
	if err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, from.Mode&0o7777); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	if below, err = openIn(dir, name); err != nil {
		return nil, err
	}
	if err := from.Owner().Give(int(below.Fd())); err != nil {
		below.Close()
		return nil, err
	}
	return below, nil
}
