// This file owns the watching of a cache of pip: the kernel reports what appears in its directories, and each
// complete entry is reported to the caller. Directories that were there before are watched too, but what is in them is nothing new.

package pipcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watcher watches the entries below a root until stop.
type watcher struct {
	root    *os.Root
	tell    func(entry string) // This gets each new entry once or more, without the suffix of its body.
	events  *os.File
	watched map[int32]string // These are the directories by what the kernel calls them.
	done    sync.WaitGroup
}

// watchEntries begins to watch. tell must not call stop, which waits for it.
func watchEntries(root *os.Root, tell func(entry string)) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watching cache: %w", err)
	}
	w := &watcher{root: root, tell: tell, events: os.NewFile(uintptr(fd), "inotify"), watched: map[int32]string{}}
	w.done.Go(w.follow)
	return w, nil
}

// stop returns when nothing is told any more.
func (w *watcher) stop() error {
	err := w.events.Close()
	w.done.Wait()
	return err
}

// follow reads events until stop.
func (w *watcher) follow() {
	w.watch(".", func(string) {})
	buf := make([]byte, 64<<10)
	for {
		n, err := w.events.Read(buf)
		if err != nil {
			return
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += unix.SizeofInotifyEvent
			name := strings.TrimRight(string(buf[at:at+int(e.Len)]), "\x00")
			at += int(e.Len)
			if dir, known := w.watched[e.Wd]; known && name != "" {
				w.appeared(path.Join(dir, name), e.Mask)
			}
		}
	}
}

// appeared looks at what is new. A file counts when it is complete: moved to its place, or closed.
func (w *watcher) appeared(name string, mask uint32) {
	switch {
	case mask&unix.IN_ISDIR != 0:
		w.enter(name, w.file)
	case mask&unix.IN_CREATE == 0:
		w.file(name)
	}
}

// file tells of an entry.
func (w *watcher) file(name string) {
	if amongEntries(name) && isEntryName(path.Base(name)) {
		w.tell(strings.TrimSuffix(name, bodySuffix))
	}
}

// maxDepth is how deep entries lie: http-v2, and a directory for each of the first five digits of the name.
const maxDepth = 6

// enter watches a directory in which entries may be.
func (w *watcher) enter(dir string, file func(name string)) {
	if amongEntries(dir) && strings.Count(dir, "/") < maxDepth {
		w.watch(dir, file)
	}
}

// amongEntries says whether a path is in one of the two directories of entries, or one of them.
func amongEntries(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return top == newEntries || top == oldEntries
}

// watch watches a directory and those in it. The files that are there already go to file.
func (w *watcher) watch(dir string, file func(name string)) {
	for _, e := range w.open(dir) {
		if name := path.Join(dir, e.Name()); e.IsDir() {
			w.enter(name, file)
		} else {
			file(name)
		}
	}
}

// open has the kernel tell of what appears in a directory, and then lists it, so that nothing is missed. Of too many
// directories some are not watched.
func (w *watcher) open(dir string) []fs.DirEntry {
	f, err := w.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if err := w.add(dir, fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err != nil {
		return nil
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil
	}
	return entries
}

// add lets events of a directory arrive. The path leads to the directory that is open, whatever has its name by now.
func (w *watcher) add(dir, path string) error {
	conn, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		var wd int
		wd, failed = unix.InotifyAddWatch(int(fd), path, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
		w.watched[int32(wd)] = dir
	})
	return errors.Join(err, failed)
}
