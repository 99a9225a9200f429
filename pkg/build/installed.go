package build

// What package managers list as installed in the files before a RUN. A state's key says what was done; when the same was
// done another time, other versions may have come.

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// lists are the files in which the package managers of distributions say what is installed.
var lists = []string{"/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/apk/db/installed", "/var/lib/rpm", "/usr/lib/sysimage/rpm"}

// maxInstalled is how much of one list is read.
const maxInstalled = 256 << 20

// installed lists what is installed, for a name: digests of lists, and the names of the Python distributions and conda
// packages in the places where the RUN's Pythons look.
func (c *toolCaches) installed(s *dockerfile.Run) (all []string) {
	for _, name := range lists {
		_ = c.lower.Walk(name, func(e *rootfs.Entry) error { // most of them are not there
			if e.IsRegular() {
				all = append(all, e.Path+" "+listDigest(e))
			}
			return nil
		})
	}
	for _, prefix := range prefixes(s) {
		all = append(all, packageLists(c.lower, filepath.Join(prefix, "conda-meta"))...)
		lib := filepath.Join(prefix, "lib")
		entries, _ := resolvedDir(c.lower, lib)
		for _, python := range entries {
			if strings.HasPrefix(python.Name, "python") || strings.HasPrefix(python.Name, "pypy") {
				for _, packages := range []string{"site-packages", "dist-packages"} {
					all = append(all, packageLists(c.lower, filepath.Join(lib, python.Name, packages))...)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func listDigest(e *rootfs.Entry) string {
	f, err := e.Open()
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.LimitReader(f, maxInstalled))
	return fmt.Sprintf("%x %v", sum.Sum(nil), err)
}

// packageLists are the paths of the lists of packages in a directory.
func packageLists(v *rootfs.View, dir string) (found []string) {
	entries, _ := resolvedDir(v, dir)
	for _, e := range entries {
		for _, end := range []string{".dist-info", ".egg-info", ".egg-link", ".json"} {
			if strings.HasSuffix(e.Name, end) {
				found = append(found, filepath.Join(dir, e.Name))
			}
		}
	}
	return found
}
