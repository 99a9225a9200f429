// This file owns the edits, and their order.

package rootedit

import (
	"errors"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Edits are what NVIDIA's hooks would do in a container's root.
type Edits struct {
	Links       []Link
	Libraries   []string // where the container has the driver's libraries
	LibraryDirs []string // directories of which the loader is to find libraries and links
	Compat      Compat   // whether newer CUDA libraries of the image may be used
	Files       []File   // settings of the driver
	Glibc       bool     // the driver's libraries need it
}

// Link is a symbolic link to make: Target is what it says, Path where it is in the container.
type Link struct{ Target, Path string }

// File is a file to write, for everybody to read.
type File struct{ Path, Text string }

// Empty says that there is nothing to do.
func (e Edits) Empty() bool {
	return len(e.Links) == 0 && len(e.Files) == 0 && len(e.LibraryDirs) == 0 && !e.Glibc
}

// Make makes the edits. The driver's libraries must be there already. Links and files that cannot be made, since something is mounted there
// or the image has something else, are left out, and named: for the most part there are other ways to the same library.
func (e Edits) Make(p Place) (left []string, err error) {
	if e.Glibc && muslOnly(p) {
		return nil, &host.Missing{What: "this image uses musl libc, and NVIDIA's driver libraries need glibc",
			Remedy: "use an image of a distribution with glibc (Debian, Ubuntu, UBI), or one with gcompat installed"}
	}
	links, dirs := e.Links, e.LibraryDirs
	if compat, extra := compatLinks(p, e.Compat); compat != "" {
		links = slices.Concat(links, extra)
		dirs = append([]string{compat}, dirs...)
	}
	for _, l := range links {
		if err := link(p, l); err != nil && (!errors.Is(err, unix.EXDEV) || !p.Has(l.Path)) {
			left = append(left, l.Path)
		}
	}
	for _, f := range e.Files {
		if err := p.write(f.Path, f.Text, true); err != nil {
			left = append(left, f.Path)
		}
	}
	if len(dirs) == 0 {
		return left, nil
	}
	// Without a cache the libraries are still found through LD_LIBRARY_PATH, so a root that has no place for one is no failure.
	_ = updateCache(p, dirs, e.libraries(links))
	return left, nil
}

// libraries lists what a loader may find: the driver's libraries, links to them, and what links lead to in the image.
func (e Edits) libraries(links []Link) []string {
	all := slices.Clone(e.Libraries)
	for _, l := range links {
		if all = append(all, path.Clean(l.Path)); path.IsAbs(l.Target) {
			all = append(all, path.Clean(l.Target))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// link makes one link, unless it is there as it should be. What has the name already gives way, unless it is a directory or
// something mounted.
func link(p Place, l Link) error {
	dir, err := p.makeDir(path.Dir(path.Clean(l.Path)))
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, base := int(dir.Fd()), path.Base(l.Path)
	buf := make([]byte, unix.PathMax)
	if n, err := unix.Readlinkat(fd, base, buf); err == nil && string(buf[:n]) == l.Target {
		return nil
	}
	switch err := unix.Unlinkat(fd, base, 0); {
	case err == unix.EBUSY:
		return nil
	case err != nil && err != unix.ENOENT:
		return err
	}
	if err := unix.Symlinkat(l.Target, fd, base); err != nil {
		return err
	}
	return p.own(dir, base)
}

// muslOnly says whether the image has the loader of musl libc and none of glibc.
func muslOnly(p Place) bool {
	musl := false
	for _, a := range []string{"x86_64", "aarch64"} {
		musl = musl || p.Has("/lib/ld-musl-"+a+".so.1")
	}
	return musl && !p.Has("/lib64/ld-linux-x86-64.so.2") && !p.Has("/lib/ld-linux-aarch64.so.1")
}
