// This file owns lending: it reads the pages of indexes that a RUN's pip has fetched, and makes the entries of files that
// another cache has and whose digests are on these pages. pip verifies what it finds by the same digests.

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
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/installer"
)

// Lending watches a cache of pip while a RUN uses it. For each page of an index that pip stores there, the files are lent
// that the page links to and that Bodies has, before pip asks for them. Being late costs a download.
type Lending struct {
	bodies  *Bodies         // The files that may be lent are those of all caches.
	have    map[string]bool // These were there when the lending began.
	lent    string          // A file is lent when it has a name in this directory.
	root    *os.Root        // This is the cache as the RUN sees it.
	watcher *watcher
	options LendOptions
}

// LendOptions say how a RUN sees its cache.
type LendOptions struct {
	Dir      string   // This is the cache as the RUN sees it.
	Lent     string   // The RUN sees the directory of Lease.BodiesDir at this path.
	Indexes  []string // The RUN may ask the indexes at these URLs.
	UID, GID int      // The cache belongs to these.
}

// Lend begins to lend to the cache of a lease, until Stop.
func (b *Bodies) Lend(l *Lease, o LendOptions) (*Lending, error) {
	have, err := b.names()
	if err != nil {
		return nil, err
	}
	x := &Lending{bodies: b, have: have, options: o}
	if x.lent, err = l.BodiesDir(); err != nil {
		return nil, err
	}
	if err := x.inspect(); err != nil {
		return nil, err
	}
	if x.root, err = os.OpenRoot(o.Dir); err != nil {
		return nil, fmt.Errorf("watching cache: %w", err)
	}
	if x.watcher, err = watchEntries(x.root, x.page); err != nil {
		x.root.Close()
		return nil, err
	}
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
	return errors.Join(x.watcher.stop(), x.root.Close())
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
			_ = x.lend(entryPath(entries, cleanURL(o.url)), name) // Otherwise pip fetches it.
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
	for _, index := range x.options.Indexes {
		u, err := url.Parse(strings.TrimRight(index, "/") + "/" + installer.NormalName(project) + "/")
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
	if err := x.root.Symlink(path.Join(x.options.Lent, name), link); err != nil {
		return err // Either pip has fetched it, or we have lent it.
	}
	if err := Give(x.root, link, x.options.UID, x.options.GID); err != nil || framed {
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
			err = Give(x.root, dir[:i], x.options.UID, x.options.GID)
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
	if err = errors.Join(err, Give(x.root, temp, x.options.UID, x.options.GID), f.Close()); err != nil {
		return err
	}
	return x.root.Link(temp, name)
}
