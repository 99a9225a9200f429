// This file owns a directory in which a tree is put though it is not the tree's own: what is there at first, and how the tree gets out of
// it again.

package snapshotter

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/filecopy"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Place is a directory that a tree is put into, such as the root directory of a container.
type Place struct {
	Dir  string
	Own  string // a directory of the same filesystem, below a kept name
	Kept *Kept
}

// Turn makes the tree in the place that of a view, by following from the state that it has. It is not done where other names are kept now,
// or where a file has to be copied that is in no directory.
func (p Place) Turn(ctx context.Context, c *Copy, v *rootfs.View, t Turn) (done bool, err error) {
	if !c.base.same(p.Kept) {
		return false, nil
	}
	kept, covers, err := p.Kept.over(v)
	if err != nil || !kept.same(c.kept) {
		return false, err
	}
	c.covers = covers
	err = c.Follow(ctx, v, t)
	if errors.Is(err, ErrElsewhere) {
		return false, nil
	}
	return err == nil, err
}

// Fill replaces what is in the place, but for what is kept, by the files of a view. Nothing is changed where the view has something in
// the place of a foreign file.
func (p Place) Fill(ctx context.Context, v *rootfs.View) (*Copy, error) {
	c, err := p.clean(v)
	if err == nil {
		err = c.fill(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// clean makes the place ready for the files of a view.
func (p Place) clean(v *rootfs.View) (*Copy, error) {
	c := &Copy{dir: strings.TrimSuffix(p.Dir, "/"), clock: p.Own, base: p.Kept}
	var err error
	if c.kept, c.covers, err = p.Kept.over(v); err != nil {
		return nil, err
	}
	return c, p.clear()
}

// clear takes out of the place what is in it, but for what is kept and the directories that it lies in. To move a directory takes no time,
// whatever is in it; a removal takes as long as to make it.
func (p Place) clear() error {
	gone := p.goneDir()
	if err := os.Mkdir(gone, 0o700); err != nil {
		return err
	}
	count := 0
	return clear(p.Dir, p.Kept.at("/"), func(name string) error {
		count++
		if os.Rename(name, path.Join(gone, strconv.Itoa(count))) == nil {
			return nil
		}
		return RemoveAll(name) // the filesystem of a container moves no directory of its image
	})
}

// clear takes what is in a directory out of it by remove, but for what is kept. A link or a file that a command has put in the place of the
// directory is taken out, too.
func clear(dir string, kept *keptName, remove func(name string) error) error {
	f, err := factOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !f.isDir() {
		return remove(dir)
	}
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	for _, base := range names {
		switch below := kept.names[base]; {
		case below == nil:
			err = remove(dir + "/" + base)
		case below.kind == above:
			err = clear(dir+"/"+base, below, remove)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Found is what was in a place before a tree was put there.
type Found struct {
	Name           []byte            // any bytes, as names are
	Kind           string            // one of those below
	Mode, UID, GID uint32            `json:",omitempty"` // these and the following only of directories
	ModTime        int64             `json:",omitempty"` // in nanoseconds
	Attributes     map[string][]byte `json:",omitempty"`
}

// The kinds of what is found.
const (
	foundDir   = "dir"
	foundFile  = "file"
	foundEmpty = "empty file"
	foundLink  = "link to what is kept"
	foundAside = "file that makes room"
)

// Survey lists what is in the place and is not kept, directories before what is in them. Files that are in aside are to make room.
func (p Place) Survey(aside []string) ([]Found, error) {
	s := survey{place: p, aside: aside}
	err := s.directory("/")
	return s.found, err
}

type survey struct {
	place Place
	aside []string
	found []Found
}

func (s *survey) directory(name string) error {
	d, err := foundDirectory(s.place.Dir, name)
	if err != nil {
		return err
	}
	s.found = append(s.found, d)
	names, err := namesIn(s.place.Dir + name)
	if err != nil {
		return err
	}
	for _, base := range names {
		inside := path.Join(name, base)
		if s.place.Kept.has(inside) {
			continue
		}
		f, err := factOf(s.place.Dir + inside)
		if err == nil && f.isDir() {
			err = s.directory(inside)
		} else if err == nil {
			s.found = append(s.found, Found{Name: []byte(inside), Kind: s.kindOf(inside, f)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foundDirectory notes what a directory has of its own.
func foundDirectory(dir, name string) (Found, error) {
	f, err := factOf(dir + name)
	d := Found{Name: []byte(name), Kind: foundDir, Mode: f.mode & 0o7777, UID: f.uid, GID: f.gid, ModTime: f.mtime}
	if err != nil {
		return d, err
	}
	list, err := filecopy.Attributes(dir+name, rootfs.Stacks)
	for _, a := range list {
		value, err := filecopy.Attribute(dir+name, a)
		if err != nil {
			return d, err
		}
		if d.Attributes == nil {
			d.Attributes = map[string][]byte{}
		}
		d.Attributes[a] = value
	}
	return d, err
}

// kindOf says what a file is. Engines make links to what they mount, such as /etc/mtab, and images have them, too.
func (s *survey) kindOf(name string, f fact) string {
	if slices.Contains(s.aside, name) {
		return foundAside
	}
	switch f.mode & unix.S_IFMT {
	case unix.S_IFREG:
		if f.size == 0 {
			return foundEmpty
		}
	case unix.S_IFLNK:
		root := strings.TrimSuffix(s.place.Dir, "/")
		to, err := filepath.EvalSymlinks(root + name)
		if inside, ok := strings.CutPrefix(to, root+"/"); err == nil && ok && s.place.Kept.has("/"+inside) {
			return foundLink
		}
	}
	return foundFile
}

// Still leaves out the files that are gone. A command may remove them.
func (p Place) Still(found []Found) []Found {
	return slices.DeleteFunc(found, func(f Found) bool {
		if f.Kind == foundDir || f.Kind == foundAside {
			return false
		}
		_, err := factOf(p.Dir + string(f.Name))
		return isGone(err)
	})
}

// Protect keeps the files that were found: those that make room only while they are in their places.
func (p Place) Protect(found []Found) {
	for i := range found {
		f := &found[i]
		switch f.Kind {
		case foundFile:
			p.Kept.keep(string(f.Name), foreign)
		case foundEmpty:
			p.Kept.keep(string(f.Name), empty)
		case foundLink:
			p.Kept.keep(string(f.Name), hiding)
		case foundAside:
			if _, err := factOf(p.asideName(f)); isGone(err) {
				p.Kept.keep(string(f.Name), foreign)
			}
		}
	}
}

// asideName is where a file is that makes room.
func (p Place) asideName(f *Found) string {
	return path.Join(p.Own, "aside-"+url.PathEscape(string(f.Name)))
}

// SetAside makes room for the tree.
func (p Place) SetAside(found []Found) error {
	return p.moveAside(found, func(f *Found) (from, to string) { return p.Dir + string(f.Name), p.asideName(f) })
}

// bringBack undoes SetAside, also where that was done in part.
func (p Place) bringBack(found []Found) error {
	return p.moveAside(found, func(f *Found) (from, to string) { return p.asideName(f), p.Dir + string(f.Name) })
}

func (p Place) moveAside(found []Found, names func(f *Found) (from, to string)) error {
	for i := range found {
		if found[i].Kind != foundAside {
			continue
		}
		if err := os.Rename(names(&found[i])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Restore makes what was found what it was, where the tree is out of the place again.
func (p Place) Restore(found []Found) error {
	for _, f := range found {
		if f.Kind == foundDir {
			if err := os.Mkdir(p.Dir+string(f.Name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	if err := p.bringBack(found); err != nil {
		return err
	}
	for _, f := range slices.Backward(found) { // making one changes the time of the one that it is in
		if f.Kind != foundDir {
			continue
		}
		if err := f.giveTo(p.Dir + string(f.Name)); err != nil {
			return err
		}
	}
	return nil
}

// giveTo gives a directory what was found of it. What it has already is not written.
func (f *Found) giveTo(name string) error {
	now, err := foundDirectory(name, "")
	if err != nil {
		return err
	}
	if now.UID != f.UID || now.GID != f.GID {
		if err := os.Lchown(name, int(f.UID), int(f.GID)); err != nil {
			return err
		}
	}
	for a := range now.Attributes {
		if _, wanted := f.Attributes[a]; !wanted {
			if err := unix.Lremovexattr(name, a); err != nil {
				return err
			}
		}
	}
	for _, a := range slices.Sorted(maps.Keys(f.Attributes)) {
		if err := unix.Lsetxattr(name, a, f.Attributes[a], 0); err != nil {
			return err
		}
	}
	if now.Mode != f.Mode || now.UID != f.UID || now.GID != f.GID || len(f.Attributes) > 0 {
		if err := unix.Chmod(name, f.Mode); err != nil {
			return err
		}
	}
	if now.ModTime == f.ModTime {
		return nil
	}
	at := unix.NsecToTimespec(f.ModTime)
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
