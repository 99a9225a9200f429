// Following symbolic links inside a view. This is the one place that does so for files that are not mounted.

package rootfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead through; the kernel allows 40, symlink farms in images need no more.
const maxLinks = 255

// Resolve follows the symbolic links of a path as a process whose root is the view would: absolute links start at the
// root, and ".." ends there. follow says whether a link at the end is followed, too. It returns the path without links.
// Where a part of the path is missing, the error is fs.ErrNotExist and the returned path is still useful: it is what was
// resolved so far, and the rest. A part that is not a directory is unix.ENOTDIR, a loop unix.ELOOP.
func (v *View) Resolve(name string, follow bool) (string, *Entry, error) {
	return v.resolve("/", name, follow)
}

// resolve is Resolve for a process whose root is the directory root, which must be free of links.
func (v *View) resolve(root, name string, follow bool) (string, *Entry, error) {
	at, rest, links := root, split(name), 0
	e, err := v.Lstat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return path.Join(root, name), nil, err
	}
	for err == nil && len(rest) > 0 {
		next := rest[0]
		rest = rest[1:]
		if next == ".." {
			if at != root {
				at = path.Dir(at)
			}
			e, err = v.Lstat(at)
			continue
		}
		if !e.IsDir() {
			return path.Join(at, next), nil, &fs.PathError{Op: "resolve", Path: at, Err: unix.ENOTDIR}
		}
		child := path.Join(at, next)
		if e, err = v.Lstat(child); err != nil {
			return path.Join(append([]string{child}, rest...)...), nil, err
		}
		if !e.IsSymlink() || len(rest) == 0 && !follow {
			at = child
			continue
		}
		if links++; links > maxLinks {
			return child, nil, &fs.PathError{Op: "resolve", Path: child, Err: unix.ELOOP}
		}
		if strings.HasPrefix(e.Link, "/") {
			at = root
		}
		rest = append(split(e.Link), rest...)
		e, err = v.Lstat(at)
	}
	return at, e, err
}

// split returns the elements of a path that mean something.
func split(name string) []string {
	var parts []string
	for _, p := range strings.Split(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}
