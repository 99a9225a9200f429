package pipcache

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Lending watches a cache of pip while a RUN uses it. For each page of an index that pip stores there, the files are lent
// that the page links to and that Bodies has, before pip asks for them. Being late costs a download.
type Lending struct {
	bodies   *Bodies         // of all caches
	have     map[string]bool // what is there
	lent     string          // the directory that the RUN sees at
	at       string          // this path
	root     *os.Root        // of the cache, as the RUN sees it
	indexes  []string        // URLs that pages may be below
	uid, gid int             // that the cache belongs to

	events  *os.File
	watched map[int32]string // directories, in the cache
	done    sync.WaitGroup
}

// LendOptions say how a RUN sees its cache.
type LendOptions struct {
	Dir      string   // the cache as the RUN sees it
	Lent     string   // the RUN's path of Lease.BodiesDir
	Indexes  []string // URLs of indexes that the RUN may ask
	UID, GID int
}

// Lend begins to lend to the cache of a lease, until Stop.
func (b *Bodies) Lend(l *Lease, o LendOptions) (*Lending, error) {
	have, err := b.names()
	if err != nil {
		return nil, err
	}
	x := &Lending{bodies: b, have: have, at: o.Lent, indexes: o.Indexes, uid: o.UID, gid: o.GID, watched: map[int32]string{}}
	if x.lent, err = l.BodiesDir(); err != nil {
		return nil, err
	}
	if err := x.inspect(); err != nil {
		return nil, err
	}
	if x.root, err = os.OpenRoot(o.Dir); err != nil {
		return nil, fmt.Errorf("watching cache: %w", err)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		x.root.Close()
		return nil, fmt.Errorf("watching cache: %w", err)
	}
	x.events = os.NewFile(uintptr(fd), "inotify")
	x.done.Go(x.follow)
	return x, nil
}

// inspect takes back what was lent and has changed since: pip would refuse it again and again.
func (x *Lending) inspect() error {
	lent, err := os.ReadDir(x.lent)
	if err != nil {
		return fmt.Errorf("looking at what was lent: %w", err)
	}
	for _, e := range lent {
		theirs, missing := os.Lstat(filepath.Join(x.bodies.dir, e.Name()))
		ours, err := e.Info()
		if missing == nil && err == nil && os.SameFile(theirs, ours) && x.bodies.whole(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(x.lent, e.Name())); err != nil {
			return fmt.Errorf("taking back what was lent: %w", err)
		}
	}
	return nil
}

// Stop ends the lending.
func (x *Lending) Stop() error {
	err := x.events.Close()
	x.done.Wait()
	return errors.Join(err, x.root.Close())
}

// maxDepth is how deep entries lie: http-v2, and a directory for each of the first five digits of the name.
const maxDepth = 6

// watch watches a directory and those in it. Files that are in a directory which was made just now are looked at.
func (x *Lending) watch(dir string, depth int, fresh bool) {
	f, err := x.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if err := x.add(dir, fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err != nil {
		return // of too many directories some are not watched
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return
	}
	for _, e := range entries {
		x.found(dir, e.Name(), e.IsDir(), depth, fresh)
	}
}

// add has the kernel tell of what appears in a directory.
func (x *Lending) add(dir, path string) error {
	conn, err := x.events.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		var wd int
		wd, failed = unix.InotifyAddWatch(int(fd), path, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
		x.watched[int32(wd)] = dir
	})
	return errors.Join(err, failed)
}

// found looks at what is in a directory.
func (x *Lending) found(dir, name string, isDir bool, depth int, fresh bool) {
	switch {
	case depth == 0 && name != newEntries && name != oldEntries:
	case isDir && depth < maxDepth:
		x.watch(path.Join(dir, name), depth+1, fresh)
	case !isDir && fresh && isEntryName(name):
		x.page(strings.TrimSuffix(path.Join(dir, name), bodySuffix))
	}
}

// follow reads events until Stop.
func (x *Lending) follow() {
	x.watch(".", 0, false)
	buf := make([]byte, 64<<10)
	for {
		n, err := x.events.Read(buf)
		if err != nil {
			return
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += unix.SizeofInotifyEvent
			name := strings.TrimRight(string(buf[at:at+int(e.Len)]), "\x00")
			at += int(e.Len)
			dir, known := x.watched[e.Wd]
			isDir := e.Mask&unix.IN_ISDIR != 0
			if !known || name == "" || !isDir && e.Mask&unix.IN_CREATE != 0 { // a file counts when it is whole
				continue
			}
			depth := 0
			if dir != "." {
				depth = strings.Count(dir, "/") + 1
			}
			x.found(dir, name, isDir, depth, true)
		}
	}
}

// page lends what the entry links to, if it is a page.
func (x *Lending) page(entry string) {
	text := x.read(entry)
	if text == nil {
		return
	}
	entries, _, _ := strings.Cut(entry, "/")
	for _, o := range linksOf(text, func(file string) *url.URL { return x.pageURL(entry, file) }) {
		name := o.sha256
		if entries == oldEntries {
			name += framedSuffix
		}
		if x.have[name] {
			_ = x.lend(entryPath(entries, cleanURL(o.url)), name) // it is fetched then
		}
	}
}

// read returns the text of a page.
func (x *Lending) read(entry string) []byte {
	framed := strings.HasPrefix(entry, oldEntries+"/")
	if !framed {
		entry += bodySuffix
	}
	f, err := x.root.OpenFile(entry, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxPage {
		return nil
	}
	body := io.NewSectionReader(f, 0, info.Size())
	if framed {
		if body, err = framedBody(f, info.Size()); err != nil {
			return nil
		}
	}
	return readPage(body)
}

var dashes = lazyregexp.New(`-[0-9]`)

// pageURL finds the URL that an entry is the answer of, a page with a file of that name: it is below one of the indexes.
func (x *Lending) pageURL(entry, file string) *url.URL {
	file, _ = url.PathUnescape(path.Base(file))
	project := file
	if at := dashes().FindStringIndex(file); at != nil {
		project = file[:at[0]]
	}
	entries, _, _ := strings.Cut(entry, "/")
	for _, index := range x.indexes {
		u, err := url.Parse(strings.TrimRight(index, "/") + "/" + normal(project) + "/")
		if err != nil {
			continue
		}
		u.User = nil
		if entryPath(entries, cleanURL(u)) == entry {
			return u
		}
	}
	return nil
}

// lend makes the entry of a file that Bodies has under name.
func (x *Lending) lend(entry, name string) error {
	if err := x.give(name); err != nil {
		return err
	}
	if err := x.parents(path.Dir(entry)); err != nil {
		return err
	}
	framed := strings.HasSuffix(name, framedSuffix)
	link := entry
	if !framed {
		link += bodySuffix
	}
	if err := x.root.Symlink(path.Join(x.at, name), link); err != nil {
		return err // pip has fetched it, or has it from us
	}
	if err := x.root.Lchown(link, x.uid, x.gid); err != nil || framed {
		return err
	}
	info, err := os.Stat(filepath.Join(x.lent, name))
	if err != nil {
		return err
	}
	return x.write(entry, entryOf(info.Size(), time.Now()))
}

// give makes a file of Bodies one that the RUN sees.
func (x *Lending) give(name string) error {
	from := filepath.Join(x.bodies.dir, name)
	before, err := os.Lstat(from)
	if err != nil || !x.bodies.whole(name) {
		return errors.Join(err, fs.ErrNotExist)
	}
	err = os.Link(from, filepath.Join(x.lent, name))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		x.bodies.noteLink(name, before)
	}
	return err
}

// parents makes the directories of an entry, for the user of the cache.
func (x *Lending) parents(dir string) error {
	for i, c := range dir + "/" {
		if c != '/' {
			continue
		}
		err := x.root.Mkdir(dir[:i], 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = x.root.Lchown(dir[:i], x.uid, x.gid)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write makes a file appear whole, where there is none.
func (x *Lending) write(name string, data []byte) error {
	temp := path.Join(path.Dir(name), ".gbuild-"+rand.Text())
	f, err := x.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer x.root.Remove(temp)
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chown(x.uid, x.gid), f.Close()); err != nil {
		return err
	}
	return x.root.Link(temp, name)
}
