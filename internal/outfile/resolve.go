// This file owns what a path of the command line leads to: links are followed to their end, which may be an open
// descriptor of this process.

package outfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks is how many links the kernel follows in one path.
const maxLinks = 40

// Descriptor says which open descriptor of this process a path means, as /dev/stdout, /dev/fd/3 and links to them do.
func Descriptor(path string) (fd int, ok bool) {
	_, fd, err := resolve(path)
	return fd, err == nil && fd >= 0
}

// resolve follows the links at the end of a path, also to what is not there yet. What /proc says of an open descriptor
// looks like a link, and its text may name nothing: that is where it stops. fd is that of this process, else -1.
func resolve(path string) (target string, fd int, err error) {
	for range maxLinks {
		dir, name := filepath.Split(path)
		if dir, err = filepath.EvalSymlinks(filepath.Clean(dir + ".")); err != nil || name == "" || name == "." || name == ".." {
			return path, -1, nil // who opens it sees what is wrong
		}
		path = filepath.Join(dir, name)
		if isProc(path) && filepath.Base(dir) == "fd" {
			return path, ownDescriptor(dir, name), nil
		}
		link, err := os.Readlink(path)
		if err != nil {
			return path, -1, nil
		}
		if !filepath.IsAbs(link) {
			link = dir + "/" + link
		}
		path = link
	}
	return path, -1, fmt.Errorf("following %s: %w", path, syscall.ELOOP)
}

// ownDescriptor reads /proc/PID/fd/N or /proc/PID/task/TID/fd/N of this process.
func ownDescriptor(dir, number string) int {
	own := "/proc/" + strconv.Itoa(os.Getpid()) + "/"
	fd, err := strconv.Atoi(number)
	if err != nil || !strings.HasPrefix(dir+"/", own) {
		return -1
	}
	return fd
}

// isProc says whether a path is one of the kernel's, which no file can replace.
func isProc(path string) bool { return strings.HasPrefix(path, "/proc/") }
