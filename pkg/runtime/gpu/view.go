// This file owns the view of a host. All of its paths are below one directory, so that a test can make up a host with GPUs on a
// machine without.

package gpu

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// view is where the NVIDIA driver is looked for. The zero value is this machine.
type view struct {
	root string // the directory that stands for /; "" is / itself
}

// path is where a path of the host lies.
func (h view) path(p string) string { return filepath.Join("/", h.root, p) }

// isDevice says whether a character device is there.
func (h view) isDevice(p string) bool {
	st, err := os.Stat(h.path(p))
	return err == nil && st.Mode()&fs.ModeCharDevice != 0
}

// read gives the text of a small file, "" where it cannot be read.
func (h view) read(p string) string {
	b, err := os.ReadFile(h.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// exists says whether a path leads to something.
func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
