// This file owns the directories of a tree that are kept open.
// A path of several names would be resolved by the kernel anew for each file; and a link could come into it at any time.

package files

import (
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"
)

// openDirs keeps those directories of a tree open that were used last, so that a file is opened by its name in its
// directory and not by a path from the root. Directories are opened one below the other, never through a link.
type openDirs struct {
	root *os.Root

	mu    sync.Mutex
	dirs  map[string]*os.File
	order []string // names in dirs, the one that was opened first at the front
}

// maxOpenDirs bounds the descriptors that one tree holds.
const maxOpenDirs = 64

// with calls use with the descriptor of a directory.
func (o *openDirs) with(dir string, use func(fd int) error) error {
	for range 3 {
		f, err := o.open(dir)
		if err != nil {
			return err
		}
		conn, err := f.SyscallConn()
		if err != nil {
			return err
		}
		var used error
		if err := conn.Control(func(fd uintptr) { used = use(int(fd)) }); err == nil { // else it was closed for others meanwhile
			return used
		}
	}
	f, err := o.root.Open(local(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	return use(int(f.Fd()))
}

// open returns a directory that is open, or opens it.
func (o *openDirs) open(dir string) (*os.File, error) {
	o.mu.Lock()
	f := o.dirs[dir]
	o.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f, err := o.openNew(dir)
	if err != nil {
		return nil, err
	}
	o.keep(dir, f)
	return f, nil
}

// openNew opens a directory anew: it is at its first entry.
func (o *openDirs) openNew(dir string) (f *os.File, err error) {
	if dir == "/" {
		return o.root.Open(".")
	}
	err = o.with(path.Dir(dir), func(fd int) (err error) {
		f, err = openAt(fd, path.Base(dir), unix.O_DIRECTORY)
		return err
	})
	return f, err
}

// keep keeps a directory open that was opened anew, and closes the one that was opened first.
func (o *openDirs) keep(dir string, f *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if old := o.dirs[dir]; old != nil { // it may have been another one
		old.Close()
		o.dirs[dir] = f
		return
	}
	if len(o.order) == maxOpenDirs {
		o.dirs[o.order[0]].Close()
		delete(o.dirs, o.order[0])
		o.order = append(o.order[:0], o.order[1:]...)
	}
	o.dirs[dir] = f
	o.order = append(o.order, dir)
}

// close closes all of them. They can be used again.
func (o *openDirs) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.dirs {
		f.Close()
	}
	o.dirs, o.order = map[string]*os.File{}, nil
}

// openAt opens a name of a directory for reading. A fifo that took the place of a file does not block it.
func openAt(dir int, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}
