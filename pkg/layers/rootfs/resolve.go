// Following symbolic links. This is the one place that does so for files of images and contexts, which are not mounted.

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
	return Follow(v.Lstat, root, name, follow)
}

// Linked is what Follow has to know of a file.
type Linked interface {
	IsDir() bool
	IsSymlink() bool
	Target() string // the text of a symbolic link; empty for other files
}

// Follow is View.Resolve for files of which lstat says what they are, whatever they lie in. The path of root must be free of
// links.
func Follow[F Linked](lstat func(name string) (F, error), root, name string, last bool) (string, F, error) {
	var none F
	at, rest, links := root, split(name), 0
	f, err := lstat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return path.Join(root, name), none, err
	}
	for err == nil && len(rest) > 0 {
		next := rest[0]
		rest = rest[1:]
		if next == ".." {
			if at != root {
				at = path.Dir(at)
			}
			f, err = lstat(at)
			continue
		}
		if !f.IsDir() {
			return path.Join(at, next), none, &fs.PathError{Op: "resolve", Path: at, Err: unix.ENOTDIR}
		}
		child := path.Join(at, next)
		if f, err = lstat(child); err != nil {
			return path.Join(append([]string{child}, rest...)...), none, err
		}
		if !f.IsSymlink() || len(rest) == 0 && !last {
			at = child
			continue
		}
		if links++; links > maxLinks {
			return child, none, &fs.PathError{Op: "resolve", Path: child, Err: unix.ELOOP}
		}
		if strings.HasPrefix(f.Target(), "/") {
			at = root
		}
		rest = append(split(f.Target()), rest...)
		f, err = lstat(at)
	}
	return at, f, err
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
