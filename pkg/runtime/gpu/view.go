// This file owns the view of a host: where the NVIDIA driver is looked for. All of its paths are below one directory, so that a test can
// make up a host with GPUs on a machine without.

package gpu

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Place says where the files of the NVIDIA driver are, for hosts on which they lie where nobody else puts them. The zero value looks
// wherever distributions and container images have them.
type Place struct {
	Root        string   // the directory below which the driver is installed, with its libraries, programs and perhaps nodes
	LibraryDirs []string // directories of its libraries, before all others
}

// view is where the NVIDIA driver is looked for. The zero value is this machine.
type view struct {
	root  string // the directory that stands for /; "" is / itself
	place Place
}

// path is where a path of the host lies.
func (h view) path(p string) string { return filepath.Join("/", h.root, p) }

// driverRoots gives the host paths below which the driver may be installed, without a trailing slash: what the user says alone, or
// those of distributions, of NVIDIA's GPU Operator and of Talos.
func (h view) driverRoots() []string {
	if h.place.Root != "" {
		return []string{strings.TrimSuffix(h.path(h.place.Root), "/")}
	}
	return []string{strings.TrimSuffix(h.path("/"), "/"), h.path("/run/nvidia/driver"), h.path("/usr/local/glibc")}
}

// node is where a character device lies on the host, "" where there is none. A driver in a container of its own, as the GPU
// Operator's, may have its nodes there only.
func (h view) node(p string) string {
	places := []string{h.path(p)}
	if h.place.Root != "" {
		places = append(places, h.path(filepath.Join(h.place.Root, p)))
	}
	for _, f := range places {
		if st, err := os.Stat(f); err == nil && st.Mode()&fs.ModeCharDevice != 0 {
			return f
		}
	}
	return ""
}

// isDevice says whether a character device is there.
func (h view) isDevice(p string) bool { return h.node(p) != "" }

// modified is when a file was changed last.
func modified(file string) time.Time {
	st, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
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
