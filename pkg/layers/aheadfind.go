package layers

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// aheadFinder finds distributions in a directory that processes write into which nobody trusts: no link is followed.
type aheadFinder struct {
	root     *os.File // has the same files after the directory was renamed
	prefixes []string
	found    []*distribution
	seen     map[string]listState
	dir      *os.File // the directory of the name that was asked for last
	name     string
}

// listState tells a list from another one at the same place.
type listState struct {
	inode    uint64
	size     int64
	modified time.Time
}

func newAheadFinder(root *os.File, prefixes []string) *aheadFinder {
	return &aheadFinder{root: root, prefixes: prefixes, seen: map[string]listState{}}
}

func (f *aheadFinder) close() {
	f.leave()
	f.root.Close()
}

func (f *aheadFinder) leave() {
	if f.dir != nil {
		f.dir.Close()
	}
	f.dir = nil
}

// look returns the distributions that are complete by now, each once it was.
func (f *aheadFinder) look() []*distribution {
	for _, prefix := range f.prefixes {
		for _, lib := range []string{"lib", "lib64"} {
			lib = path.Join("/", prefix, lib)
			for _, python := range f.list(lib, "python", "") {
				for _, packages := range f.list(path.Join(lib, python), "", "-packages") {
					f.lookInto(path.Join(lib, python, packages))
				}
			}
		}
	}
	return f.found
}

func (f *aheadFinder) lookInto(packages string) {
	for _, info := range f.list(packages, "", ".dist-info") {
		list := path.Join(packages, info, "RECORD")
		e, err := f.lstat(list)
		if err != nil || !e.IsRegular() {
			continue
		}
		state := listState{e.Ino, e.Size, e.ModTime}
		if f.seen[list] == state {
			continue
		}
		f.seen[list] = state
		f.found = slices.DeleteFunc(f.found, func(d *distribution) bool { return d.list == list })
		if d, err := f.read(e); err == nil && d != nil {
			f.found = append(f.found, d)
		}
	}
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

// read returns the distribution of a list, nil if it is not complete. Installers write the list anew at the end, with what
// they added: INSTALLER is. Until then it is that of the wheel.
func (f *aheadFinder) read(list *Entry) (*distribution, error) {
	file, err := list.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	names, err := readRecord(io.LimitReader(file, maxList))
	if err != nil {
		return nil, err
	}
	info := path.Dir(list.Path)
	d := &distribution{name: printable(strings.TrimSuffix(path.Base(info), ".dist-info")), list: list.Path}
	claimed := map[string]bool{}
	for _, n := range names {
		if !path.IsAbs(n) {
			n = path.Join(path.Dir(info), n)
		}
		if n = path.Clean(n); claimed[n] {
			continue
		}
		claimed[n] = true
		if err := f.add(d, n); err != nil {
			return nil, err
		}
	}
	if !claimed[info+"/INSTALLER"] || !claimed[list.Path] {
		return nil, nil
	}
	return d, nil
}

// add adds a file that must be there. One of byte code that names times keeps its own time, with all of its distribution.
func (f *aheadFinder) add(d *distribution, name string) error {
	e, err := f.lstat(name)
	if err != nil {
		return err
	}
	if e.IsDir() || timestamped(e.source) {
		return fmt.Errorf("%s: %w", name, fs.ErrInvalid)
	}
	d.files = append(d.files, name)
	d.size += e.Size
	return nil
}

// settled returns the entry at name as it will be after Draft.Settle.
func (f *aheadFinder) settled(name string) (*Entry, error) {
	e, err := f.lstat(name)
	if err == nil && !e.IsDir() {
		e.ModTime = time.Unix(SettledTime, 0)
	}
	return e, err
}

// lstat returns the entry at name, which can be read until the next call.
func (f *aheadFinder) lstat(name string) (*Entry, error) {
	dir, base := path.Split(name)
	if f.dir == nil || f.name != dir {
		fd, err := f.open(dir, unix.O_PATH)
		if err != nil {
			return nil, err
		}
		f.leave()
		f.dir, f.name = fd, dir
	}
	return lstat(fmt.Sprintf("/proc/self/fd/%d/%s", f.dir.Fd(), base), name)
}

// open opens a directory. Where the kernel or a filter refuses that call, nothing is found, and nothing packed ahead.
func (f *aheadFinder) open(dir string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	var fd int
	err := retryEINTR(func() (err error) {
		fd, err = unix.Openat2(int(f.root.Fd()), "."+dir, &how)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}
