// This file owns paths of trees, and what is said of names that are not there.

package files

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// local returns the name by which os.Root knows a path of the tree.
func local(name string) string {
	if name = strings.Trim(name, "/"); name != "" {
		return name
	}
	return "."
}

// elements returns the parts of a path that mean something.
func elements(name string) (parts []string) {
	for p := range strings.SplitSeq(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}

// missing is the error for a name that is not there.
func missing(name string) error { return &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist} }

// notThere says whether a path leads nowhere, also because a file is on the way.
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// relative returns the way from the directory from to the file to.
func relative(from, to string) string {
	up := ""
	for range elements(from) {
		up += "../"
	}
	return up + local(to)
}
