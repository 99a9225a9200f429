// Describer, which turns tars into a tree in memory: of layers, as an Applier would unpack them into an empty directory, and of the
// archive of an ADD, as Extract would over what is there. What is done with the bytes of a file is for others to say.

package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// Keep takes the bytes of a regular file out of a tar. It returns what is known of them afterwards.
type Keep func(name string, size int64, xattrs map[string][]byte, body io.Reader) (KeptBytes, error)

// finishImplied gives directories without an entry what Applier.finishImplied would. What lies below them will say it, but where
// this layer hides it.
func (d *Describer) finishImplied(f *memFile, lower *View, hidden bool) error {
	hidden = hidden || f.opaque
	if f.implied {
		f.ModTime = time.Unix(0, 0)
	}
	if f.implied && hidden {
		e, err := lower.Lstat(f.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if f.implied = false; err == nil && e.IsDir() {
			xattrs, err := e.Xattrs()
			if err != nil {
				return err
			}
			f.Mode, f.UID, f.GID, f.ModTime, f.xattrs = e.Mode, e.UID, e.GID, e.ModTime, maps.Clone(xattrs)
		}
	}
	for _, child := range f.names {
		if err := d.finishImplied(child, lower, hidden); err != nil {
			return err
		}
	}
	return nil
}

// NeedsLower says whether Finish has to know what lies below: few layers are so odd.
func (d *Describer) NeedsLower() bool { return len(d.links) > 0 || d.tree.root.hides(false) }

// hides says whether a directory that no entry names is in the place of one that the layer hides.
func (f *memFile) hides(hidden bool) bool {
	hidden = hidden || f.opaque
	if f.implied && hidden {
		return true
	}
	for _, child := range f.names {
		if child.hides(hidden) {
			return true
		}
	}
	return false
}

// KeptBytes is what is known of the bytes of a file that was read.
type KeptBytes struct {
	From    interface{ Open() (*os.File, error) } // nil: they are not here
	Content []byte                                // of a list of accounts
	Sum     []byte                                // see NewContentSum
}

// Describer describes the files of tars.
type Describer struct {
	tree    *Memory
	how     applying
	keep    Keep
	dirOf   func(dir string) (*memFile, error) // the directory at a clean relative path, made where it is missing
	reopen  func(dir string) (*memFile, error) // the same, where it is there
	named   func(name string) error            // a directory is named by the tar; see places.keep
	notices *notices
	size    int64

	links []pendingLink
	times []dirTime
}

// NewDescriber begins to describe the layers of one snapshot, which may have limit bytes in all.
func NewDescriber(limit int64, keep Keep) *Describer {
	d := &Describer{tree: NewMemory(), how: applying{limit: limit, overlay: true}, keep: keep, notices: newNotices(nil)}
	d.dirOf = func(dir string) (*memFile, error) { return d.ensure("/"+dir, maxLinks) }
	d.reopen = func(dir string) (*memFile, error) { return d.lookup("/"+dir, true), nil }
	d.named = func(string) error { return nil }
	return d
}

// Layer describes what the tar of a layer has, and returns its DiffID. Layers come in their order, the lowest first.
func (d *Describer) Layer(ctx context.Context, r io.Reader) (v1.Hash, error) {
	return readLayer(ctx, r, d.how.limit, d.entries)
}

func (d *Describer) entries(ctx context.Context, tr *tar.Reader) error {
	return eachEntry(ctx, tr, d.how.limit, &d.size, d.entry)
}

// Finish returns the tree, when all was read. lower has what lies below: a name may be linked to a file there. With nil such a
// name is left out.
func (d *Describer) Finish(lower *View) (*Memory, error) {
	c, links := Change{d.tree, lower}, d.links
	if lower == nil {
		c.Lower = NewView()
	}
	for _, l := range links {
		err := d.finishLink(l, c.View())
		if lower == nil && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking entry %q: linking to %q: %w", l.name, l.target, err)
		}
	}
	if err := d.finishImplied(d.tree.root, c.Lower, false); err != nil {
		return nil, err
	}
	for _, t := range slices.Backward(d.times) {
		if f, err := d.reopen(t.name); err == nil && f != nil && f.IsDir() { // else a later entry has replaced it
			f.ModTime = t.at
		}
	}
	return d.tree, nil
}

// Extract describes the files of an archive at the directory dest, as the function Extract unpacks them.
func (c Change) Extract(ctx context.Context, r io.Reader, dest string, o ExtractOptions, keep Keep) error {
	lower := c.Lower
	if o.Alone {
		lower = NewView()
	}
	x := &memoryExtractor{change: c, view: lower.OverMemory(c.Memory)}
	real, _, err := x.view.Resolve(dest, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	x.dest = real
	d := &Describer{tree: c.Memory, keep: keep, dirOf: x.dirOf, reopen: x.dirOf, named: x.named, notices: newNotices(o.Notice),
		how: applying{limit: mostUnpacked, uid: o.UID, gid: o.GID, under: strings.TrimPrefix(real, "/")}}
	if _, err := d.dirOf(d.how.under); err != nil {
		return fmt.Errorf("unpacking an archive to %s: %w", clean(dest), err)
	}
	if err := wholeArchive(ctx, r, d.entries); err != nil {
		return err
	}
	_, err = d.Finish(lower)
	return err
}

// memoryExtractor finds the directories that an archive is unpacked into.
type memoryExtractor struct {
	change Change
	view   *View // what the archive may see
	dest   string
}

// resolve follows the links of a name below the destination as a process whose root is that would.
func (x *memoryExtractor) resolve(name string) (string, *Entry, error) {
	rest := strings.TrimPrefix(strings.TrimPrefix("/"+name, x.dest), "/")
	return x.view.resolve(x.dest, rest, true)
}

func (x *memoryExtractor) dirOf(name string) (*memFile, error) {
	real, e, err := x.resolve(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = x.mkdirs(real)
	case err == nil && !e.IsDir():
		err = unix.ENOTDIR
	case err == nil:
		err = x.change.CopyUp(x.change.Lower, real)
	}
	if err != nil {
		return nil, err
	}
	dir := x.change.find(real)
	if dir == nil || !dir.IsDir() {
		return nil, unix.ENOTDIR
	}
	return dir, nil
}

// mkdirs makes the missing directories of a path without links.
func (x *memoryExtractor) mkdirs(real string) error {
	at := "/"
	for _, part := range split(real) {
		at = path.Join(at, part)
		e, err := x.view.Lstat(at)
		switch {
		case err == nil && e.IsDir():
		case err == nil:
			return unix.ENOTDIR
		case !errors.Is(err, fs.ErrNotExist):
			return err
		default:
			if err := x.change.Mkdir(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// named brings the directory into the tree, if it is there.
func (x *memoryExtractor) named(name string) error {
	dir, _, err := x.resolve(strings.TrimPrefix(path.Dir(name), "."))
	if err != nil {
		return err
	}
	return x.change.CopyUp(x.change.Lower, path.Join(dir, path.Base(name)))
}

// entry describes one entry, after its name was checked.
func (d *Describer) entry(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	base := path.Base(name)
	switch {
	case name == "" && h.Typeflag != tar.TypeDir:
		return errors.New("the root can only be a directory")
	case name == "" && !d.how.overlay:
		return nil
	case name == "":
		return d.describe(d.tree.root, "", h)
	case d.how.overlay && name == codec.StargzTable:
		return nil
	case d.how.overlay && strings.HasPrefix(base, WhiteoutPrefix):
		return d.whiteout(path.Dir(name), base)
	}
	if d.how.uid != nil {
		h.Uid = *d.how.uid
	}
	if d.how.gid != nil {
		h.Gid = *d.how.gid
	}
	if err := checkOwner(h); err != nil {
		return err
	}
	return d.file(path.Join(d.how.under, name), h, body)
}

// place returns the directory that a name lies in, and the last element of it.
func (d *Describer) place(name string) (*memFile, string, error) {
	dir, base := path.Split(name)
	f, err := d.dirOf(strings.TrimSuffix(dir, "/"))
	if err != nil {
		return nil, "", fmt.Errorf("opening the directory %q: %w", dir, err)
	}
	return f, base, nil
}

// whiteout handles the entries that remove something of the layers below: see Applier.whiteout.
func (d *Describer) whiteout(dir, base string) error {
	target := strings.TrimPrefix(base, WhiteoutPrefix)
	switch {
	case base == whiteoutOpaque && dir == ".":
		d.tree.root.opaque = true
		return nil
	case base == whiteoutOpaque:
		f, err := d.dirOf(dir)
		if err == nil {
			f.opaque = true
		}
		return err
	case strings.HasPrefix(target, WhiteoutPrefix):
		return nil
	case target == "" || target == "." || target == "..":
		return errors.New("a whiteout of nothing")
	}
	f, base, err := d.place(path.Join(dir, target))
	if err != nil {
		return err
	}
	if there := f.names[base]; there == nil {
		f.put(base, d.tree.newFile(&Entry{Mode: unix.S_IFCHR}))
	} else if there.IsDir() {
		there.opaque = true
	}
	return nil
}

// file describes what an entry does, in the place of anything that was there before.
func (d *Describer) file(name string, h *tar.Header, body io.Reader) error {
	dir, base, err := d.place(name)
	if err != nil {
		return err
	}
	e := &Entry{Mode: uint32(h.Mode) & 0o7777, UID: h.Uid, GID: h.Gid, ModTime: h.ModTime}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := d.named(name); err != nil {
			return err
		}
		return d.directory(dir, base, name, h)
	case tar.TypeLink:
		return d.hardlink(dir, base, name, h.Linkname)
	case tar.TypeReg, 0, tar.TypeGNUSparse, tar.TypeCont:
		return d.regular(dir, base, e, h, body)
	case tar.TypeSymlink:
		e.Mode, e.Link = unix.S_IFLNK|0o777, h.Linkname
		e.Size = int64(len(h.Linkname))
	case tar.TypeFifo:
		e.Mode |= unix.S_IFIFO
	case tar.TypeChar, tar.TypeBlock:
		e.Rdev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
		if h.Typeflag == tar.TypeChar && e.Rdev == 0 {
			d.notices.add("device", "left out the device node %s: 0/0 is what removes a file", name)
			return nil
		}
		e.Mode |= map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK}[h.Typeflag]
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	dir.put(base, d.tree.newFile(e))
	return nil
}

// regular describes a regular file, and has its bytes kept.
func (d *Describer) regular(dir *memFile, base string, e *Entry, h *tar.Header, body io.Reader) error {
	e.Mode |= unix.S_IFREG
	e.Size = h.Size
	f := d.tree.newFile(e)
	f.xattrs = headerXattrs(h)
	kept, err := d.keep(path.Join(dir.Path, base), h.Size, f.xattrs, body)
	if err != nil {
		return err
	}
	f.content, f.sum = kept.Content, kept.Sum
	if kept.From != nil {
		f.from = kept.From
	} else if kept.Content == nil {
		f.from = elsewhere{}
	}
	dir.put(base, f)
	return nil
}

// elsewhere is where a file is read that was not kept.
type elsewhere struct{}

func (elsewhere) Open() (*os.File, error) { return nil, ErrNoContent }

// headerXattrs are the attributes of a header that belong into an image.
func headerXattrs(h *tar.Header) (found map[string][]byte) {
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, codec.PaxXattr)
		if !ok || !PortableXattr(name) {
			continue
		}
		if found == nil {
			found = map[string][]byte{}
		}
		if found[name] = []byte(value); name == xattrCapability {
			found[name] = capabilityV2(found[name])
		}
	}
	return found
}

// directory makes a directory, or takes the one that is there: see Applier.directory.
func (d *Describer) directory(dir *memFile, base, name string, h *tar.Header) error {
	f := dir.names[base]
	if f == nil || !f.IsDir() {
		fresh := d.tree.newDir("", 0)
		fresh.opaque = f != nil && f.IsWhiteout()
		dir.put(base, fresh)
		f = fresh
	}
	return d.describe(f, name, h)
}

// describe gives a directory its metadata.
func (d *Describer) describe(f *memFile, name string, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	d.times = append(d.times, dirTime{name, h.ModTime})
	f.Mode, f.UID, f.GID, f.implied = unix.S_IFDIR|uint32(h.Mode)&0o7777, h.Uid, h.Gid, false
	if f.xattrs == nil {
		f.xattrs = map[string][]byte{}
	}
	maps.Copy(f.xattrs, headerXattrs(h))
	return nil
}

// ensure returns the directory at a path, in which links of the tree are followed, and makes what is missing of it.
func (d *Describer) ensure(name string, links int) (*memFile, error) {
	at, rest := []*memFile{d.tree.root}, split(name)
	for len(rest) > 0 {
		dir, next := at[len(at)-1], rest[0]
		rest = rest[1:]
		if next == ".." {
			at = at[:max(1, len(at)-1)]
			continue
		}
		f := dir.names[next]
		switch {
		case f == nil || f.IsWhiteout():
			hides := f != nil
			f = d.tree.newDir("", 0o755)
			dir.put(next, f)
			f.opaque, f.implied = hides, true
		case f.IsSymlink():
			if links--; links < 0 {
				return nil, unix.ELOOP
			}
			if strings.HasPrefix(f.Link, "/") {
				at = at[:1]
			}
			rest = append(split(f.Link), rest...)
			continue
		case !f.IsDir():
			return nil, unix.ENOTDIR
		}
		at = append(at, f)
	}
	return at[len(at)-1], nil
}

// lookup returns what is at a path of the tree, in which links are followed, one at the end if last is set; nil where there is
// nothing.
func (d *Describer) lookup(name string, last bool) *memFile {
	real, _, err := Follow(func(name string) (*Entry, error) { return d.tree.lstat(name, name) }, "/", name, last)
	if err != nil {
		return nil
	}
	return d.tree.find(real)
}

// hardlink gives a file of the tree one more name, or leaves that to finishLink.
func (d *Describer) hardlink(dir *memFile, base, name, linkname string) error {
	target, err := entryName(linkname)
	if err != nil || target == "" {
		return fmt.Errorf("linking to %q: %w", linkname, errors.Join(err, errEscapes))
	}
	target = path.Join(d.how.under, target)
	f := d.lookup("/"+target, false)
	switch {
	case f == nil:
		d.links = append(d.links, pendingLink{name, target})
		return nil
	case f.IsWhiteout():
		return fmt.Errorf("linking to %q: %w", linkname, os.ErrNotExist)
	case f.IsDir():
		return fmt.Errorf("linking to %q: it is a directory", linkname)
	}
	dir.put(base, f)
	return nil
}

// finishLink links to what came later, or copies what lies below: see Applier.finishLink.
func (d *Describer) finishLink(l pendingLink, merged *View) error {
	real, target, err := merged.Resolve(l.target, false)
	if err != nil {
		return err
	}
	if target.IsDir() {
		return errors.New("it is a directory")
	}
	dir, base, err := d.place(l.name)
	if err != nil {
		return err
	}
	if there := dir.names[base]; there != nil && !there.IsWhiteout() {
		return nil // a later entry has taken the name
	}
	f := d.tree.find(real)
	if f == nil {
		if f, err = d.tree.copied(target); err != nil {
			return err
		}
	}
	dir.put(base, f)
	return nil
}
