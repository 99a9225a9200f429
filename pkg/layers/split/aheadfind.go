// Finding what is being installed, in a directory that the command of a RUN writes into at the same time.

package split

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// aheadFinder finds distributions in a directory that processes write into which nobody trusts: no link is followed.
type aheadFinder struct {
	root     *os.File // has the same files after the directory was renamed
	prefixes []string
	seen     map[string]fileState
	dir      *os.File // the directory of the name that was asked for last
	name     string
}

// fileState tells a file from another one at the same place.
type fileState struct {
	inode    uint64
	size     int64
	modified time.Time
}

func newAheadFinder(root *os.File, prefixes []string) *aheadFinder {
	return &aheadFinder{root: root, prefixes: prefixes, seen: map[string]fileState{}}
}

// close gives back the directories.
func (f *aheadFinder) close() {
	f.leave()
	f.root.Close()
}

// leave closes the directory that was used last.
func (f *aheadFinder) leave() {
	if f.dir != nil {
		f.dir.Close()
	}
	f.dir = nil
}

// aheadFile is what was found.
type aheadFile struct {
	distribution string // the name, as a list would give it
	path         string // its path below the root
	wheel        bool   // it is a wheel; otherwise one file that is installed
}

// look yields what is new since it looked last: the wheels that pip fetched, and the large files of the distributions that
// are complete by now.
func (f *aheadFinder) look() iter.Seq[aheadFile] {
	return func(yield func(aheadFile) bool) {
		for file := range f.wheels {
			if !yield(file) {
				return
			}
		}
		for file := range f.installed {
			if !yield(file) {
				return
			}
		}
	}
}

// wheels yields the wheels in the directories that pip unpacks from.
func (f *aheadFinder) wheels(yield func(aheadFile) bool) {
	for _, unpack := range f.list("/tmp", "pip-unpack-", "") {
		dir := path.Join("/tmp", unpack)
		for _, wheel := range f.list(dir, "", ".whl") {
			if f.changed(path.Join(dir, wheel)) == nil {
				continue
			}
			name, rest, _ := strings.Cut(wheel, "-")
			version, _, _ := strings.Cut(rest, "-")
			if !yield(aheadFile{printable(name + "-" + version), path.Join(dir, wheel), true}) {
				return
			}
		}
	}
}

// installed yields the large files of the distributions below all prefixes.
func (f *aheadFinder) installed(yield func(aheadFile) bool) {
	for _, prefix := range f.prefixes {
		for _, lib := range []string{"lib", "lib64"} {
			lib = path.Join("/", prefix, lib)
			for _, python := range f.list(lib, "python", "") {
				for _, packages := range f.list(path.Join(lib, python), "", "-packages") {
					if !f.installedIn(path.Join(lib, python, packages), yield) {
						return
					}
				}
			}
		}
	}
}

// installedIn yields those of one directory of packages. It is false when no more are wanted.
func (f *aheadFinder) installedIn(packages string, yield func(aheadFile) bool) bool {
	for _, info := range f.list(packages, "", ".dist-info") {
		list := f.changed(path.Join(packages, info, "RECORD"))
		if list == nil {
			continue
		}
		files, _ := f.largeFiles(list)
		for _, file := range files {
			if !yield(aheadFile{printable(strings.TrimSuffix(info, ".dist-info")), file, false}) {
				return false
			}
		}
	}
	return true
}

// changed returns the entry of a regular file, nil if it is the one that it was when it was asked for last.
func (f *aheadFinder) changed(name string) *rootfs.Entry {
	e, err := f.lstat(name)
	if err != nil || !e.IsRegular() {
		return nil
	}
	state := fileState{e.Ino, e.Size, e.ModTime}
	if f.seen[name] == state {
		return nil
	}
	f.seen[name] = state
	return e
}

// list returns the names in a directory that begin and end so.
func (f *aheadFinder) list(dir, prefix, suffix string) (names []string) {
	fd, err := f.open(dir, unix.O_RDONLY)
	if err != nil {
		return nil
	}
	defer fd.Close()
	all, _ := fd.Readdirnames(-1)
	for _, n := range all {
		if strings.HasPrefix(n, prefix) && strings.HasSuffix(n, suffix) {
			names = append(names, n)
		}
	}
	return names
}

// largeFiles returns the paths of the large files on a list, none if the distribution is not complete. Installers write the
// list anew at the end, with what they added: INSTALLER is. Until then it is that of the wheel.
func (f *aheadFinder) largeFiles(list *rootfs.Entry) (files []string, err error) {
	file, err := list.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	record, _ := installer.ListAt(list.Path)
	names, err := readList(file, record, maxClaims)
	if err != nil {
		return nil, err
	}
	info := path.Dir(list.Path)
	claimed := map[string]bool{}
	for _, n := range names {
		if !path.IsAbs(n) {
			n = path.Join(path.Dir(info), n)
		}
		if n = path.Clean(n); claimed[n] {
			continue
		}
		claimed[n] = true
		e, err := f.lstat(n)
		if err != nil {
			return nil, err
		}
		if e.IsRegular() && e.Size >= codec.WholeFrom {
			files = append(files, n)
		}
	}
	if !claimed[info+"/INSTALLER"] {
		return nil, nil
	}
	return files, nil
}

// openFile opens a regular file.
func (f *aheadFinder) openFile(name string) (*os.File, error) {
	e, err := f.lstat(name)
	if err != nil {
		return nil, err
	}
	return e.Open()
}

// lstat returns the entry at name, which can be read until the next call.
func (f *aheadFinder) lstat(name string) (*rootfs.Entry, error) {
	dir, base := path.Split(name)
	if f.dir == nil || f.name != dir {
		fd, err := f.open(dir, unix.O_PATH)
		if err != nil {
			return nil, err
		}
		f.leave()
		f.dir, f.name = fd, dir
	}
	return rootfs.Lstat(fmt.Sprintf("/proc/self/fd/%d/%s", f.dir.Fd(), base), name)
}

// open opens a directory. Where the kernel or a filter refuses that call, nothing is found, and nothing packed ahead.
func (f *aheadFinder) open(dir string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	fd, err := unix.Openat2(int(f.root.Fd()), "."+dir, &how)
	for err == unix.EINTR {
		fd, err = unix.Openat2(int(f.root.Fd()), "."+dir, &how)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}
