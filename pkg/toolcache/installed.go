// This file owns the list of all that package managers have installed in the files before a RUN. The list becomes part of the name
// under which things that the RUN builds are found again: the key of a state says how it was made, but not which versions came.

package toolcache

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// maxInstalled is how much of one list is read.
const maxInstalled = 256 << 20

// installed lists what is installed, for a name: digests of lists, and the names of the Python distributions and conda
// packages in the places where the RUN's Pythons look.
func installed(v *rootfs.View, s *dockerfile.Run) (all []string) {
	for _, name := range installer.Databases {
		_ = v.Walk(name, func(e *rootfs.Entry) error { // most of them are not there
			if e.IsRegular() {
				all = append(all, e.Path+" "+listDigest(e))
			}
			return nil
		})
	}
	names := func(dir string) (names []string) {
		entries, _ := resolvedDir(v, dir)
		for _, e := range entries {
			names = append(names, e.Name)
		}
		return names
	}
	for _, prefix := range Prefixes(s) {
		for _, dir := range installer.PackageDirs(prefix, names) {
			for _, name := range names(dir) {
				if installer.IsPackage(name) {
					all = append(all, filepath.Join(dir, name))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// listDigest is the digest of a database of packages, or why it cannot be read.
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

// Prefixes are the directories below which the Pythons of a RUN have lib/python3.X.
func Prefixes(s *dockerfile.Run) []string {
	return installer.Prefixes(s.Calls().Pythons(), s.Getenv, s.Dir)
}
