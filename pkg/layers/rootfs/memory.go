// Memory, a tree of names that is only described: what a step would change, or what a layer has, without making a file of it. It is
// a level of a view, as the directory of a draft is, so that a step sees what it has put there before.

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Memory is a tree of names in memory. Of regular files it knows where they are read. It begins with a root directory.
type Memory struct {
	root   *memFile
	device uint64
	inodes uint64
}

// memFile is one file of the tree, which may have several names. Its Entry has the path of a directory; others have none there.
type memFile struct {
	Entry
	xattrs map[string][]byte
	opaque bool                // hides what is below
	names  map[string]*memFile // what is in a directory

	from    opener // where a regular file is read
	content []byte // of a list of accounts; nil: from knows it
	sum     []byte // see NewContentSum; nil: unknown
}

// opener is what of a Content is needed to read a file.
type opener interface{ Open() (*os.File, error) }

// NewMemory begins a tree.
func NewMemory() *Memory {
	m := &Memory{device: newDevice()}
	m.root = m.newDir("/", 0o755)
	return m
}

func (m *Memory) newDir(name string, perm uint32) *memFile {
	return m.newFile(&Entry{Path: name, Mode: unix.S_IFDIR | perm, ModTime: time.Now()})
}

// newFile describes a file as e does.
func (m *Memory) newFile(e *Entry) *memFile {
	f := &memFile{Entry: *e}
	f.Content, f.source, f.Dev = nil, "", m.device
	m.inodes++
	if f.Ino = m.inodes; f.IsDir() {
		f.names = map[string]*memFile{}
	}
	return f
}

// find returns the file at a path without links, nil if there is none.
func (m *Memory) find(name string) *memFile {
	f := m.root
	for _, part := range split(name) {
		if f = f.names[part]; f == nil {
			return nil
		}
	}
	return f
}

// lstat implements level.
func (m *Memory) lstat(at, name string) (*Entry, error) {
	f := m.find(at)
	if f == nil {
		return nil, notExist("lstat", name)
	}
	return f.entry(name), nil
}

// entry is the file under one of its names.
func (f *memFile) entry(name string) *Entry {
	e := f.Entry
	e.Name, e.Path = path.Base(name), name
	if e.IsRegular() || e.IsDir() {
		e.Content = f
	}
	return &e
}

func (m *Memory) opaque(at string) bool {
	f := m.find(at)
	return f != nil && f.opaque
}

func (m *Memory) names(at string, all *Names) error {
	f := m.find(at)
	if f == nil {
		return notExist("open", at)
	}
	part := all.begin()
	for name := range f.names {
		all.add(name, part)
	}
	return nil
}

// Open implements Content.
func (f *memFile) Open() (*os.File, error) {
	if f.from == nil {
		return memoryFile(f.Path, f.content)
	}
	return f.from.Open()
}

// Xattrs implements Content.
func (f *memFile) Xattrs(open *os.File) (map[string][]byte, error) {
	if c, ok := f.from.(Content); ok && f.xattrs == nil {
		return c.Xattrs(open)
	}
	return f.xattrs, nil
}

// Unchanged implements Content.
func (f *memFile) Unchanged(open *os.File) error {
	if c, ok := f.from.(Content); ok {
		return c.Unchanged(open)
	}
	return nil
}

// Want implements Wanted.
func (f *memFile) Want() {
	if w, ok := f.from.(Wanted); ok {
		w.Want()
	}
}

// Sum implements Summed.
func (f *memFile) Sum() []byte { return f.sum }

// each calls fn for each file, once for each of its names.
func (f *memFile) each(fn func(*memFile)) {
	fn(f)
	for _, child := range f.names {
		child.each(fn)
	}
}

// count finds out how many names each file has.
func (m *Memory) count() {
	m.root.each(func(f *memFile) { f.Nlink = 0 })
	m.root.each(func(f *memFile) { f.Nlink++ })
}

// put gives a file a name in the directory f, in the place of what has it.
func (f *memFile) put(name string, file *memFile) {
	f.names[name] = file
	f.ModTime = time.Now()
	if file.IsDir() {
		file.Path = path.Join(f.Path, name)
	}
}

// CopyUp makes the directories of a path, which is free of links, with what the view over the tree has of them: see
// Upper.CopyUp.
func (m *Memory) CopyUp(lower *View, name string) error {
	view, dir := lower.OverMemory(m), m.root
	for _, part := range split(name) {
		next := dir.names[part]
		if next == nil {
			e, err := view.Lstat(path.Join(dir.Path, part))
			if errors.Is(err, fs.ErrNotExist) || err == nil && !e.IsDir() {
				return nil // it is no directory, but for what Upper.CopyUp makes an error of: the next one says so
			}
			if err == nil {
				next, err = m.copied(e)
			}
			if err != nil {
				return fmt.Errorf("copying up %s: %w", path.Join(dir.Path, part), err)
			}
			before := dir.ModTime // nothing has changed for those who look at the merged files
			dir.put(part, next)
			dir.ModTime = before
		}
		if !next.IsDir() {
			return nil
		}
		dir = next
	}
	return nil
}

// copied describes a file as a view has it.
func (m *Memory) copied(e *Entry) (*memFile, error) {
	xattrs, err := e.Xattrs()
	if err != nil {
		return nil, err
	}
	f := m.newFile(e)
	f.implied, f.xattrs, f.sum, f.Path = false, maps.Clone(xattrs), e.ContentSum(), e.Path
	if f.IsRegular() {
		f.from = e
	}
	return f, nil
}

// Change tells a tree of what a step does, in the order in which it does it. The directories of a path must be there: CopyUp
// brings those of the files below.
type Change struct {
	*Memory
	Lower *View // what the tree lies on
}

// View returns the files below with the changes.
func (c Change) View() *View { return c.Lower.OverMemory(c.Memory) }

// dir returns the directory that a path lies in, copied up, and the last element of the path.
func (c Change) dir(name string) (*memFile, string, error) {
	dir, base := path.Split(name)
	if err := c.CopyUp(c.Lower, dir); err != nil {
		return nil, "", err
	}
	f := c.find(dir)
	if f == nil || !f.IsDir() {
		return nil, "", &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	}
	return f, base, nil
}

// Mkdir makes a directory that is not there.
func (c Change) Mkdir(name string) error {
	dir, base, err := c.dir(name)
	if err == nil {
		dir.put(base, c.newDir(name, 0o755))
	}
	return err
}

// Put makes anything but a directory, in the place of what is there. Its bytes are read from e.Content, later.
func (c Change) Put(e *Entry) error {
	dir, base, err := c.dir(e.Path)
	if err != nil {
		return err
	}
	f := c.newFile(e)
	if e.Content != nil {
		f.from, f.sum = e.Content, e.ContentSum()
	}
	dir.put(base, f)
	return nil
}

// Link gives a file of the tree one more name.
func (c Change) Link(first, name string) error {
	f := c.find(first)
	dir, base, err := c.dir(name)
	if err == nil && f == nil {
		err = notExist("link", first)
	}
	if err == nil {
		dir.put(base, f)
	}
	return err
}

// Describe gives a directory what change gives it: attributes are added to those that it has.
func (c Change) Describe(name string, xattrs map[string][]byte, change func(e *Entry)) error {
	if err := c.CopyUp(c.Lower, name); err != nil {
		return err
	}
	f := c.find(name)
	if f == nil || !f.IsDir() {
		return notExist("chmod", name)
	}
	change(&f.Entry)
	for key, value := range xattrs {
		if f.xattrs == nil {
			f.xattrs = map[string][]byte{}
		}
		f.xattrs[key] = value
	}
	return nil
}

// WriteTo writes the tree as a layer.
func (m *Memory) WriteTo(l *LayerWriter) error {
	m.count()
	m.root.each(func(f *memFile) {
		if f.IsRegular() {
			f.Want()
		}
	})
	return m.root.write(l)
}

// write writes what is in a directory.
func (f *memFile) write(l *LayerWriter) error {
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		child := f.names[name]
		e := child.entry(path.Join(f.Path, name))
		if !e.IsDir() {
			if err := l.Put(e); err != nil {
				return err
			}
			continue
		}
		if err := l.enter(e, child.opaque); err != nil {
			return err
		}
		if err := child.write(l); err != nil {
			return err
		}
		l.Leave()
	}
	return nil
}

// Kept calls fn for each regular file whose bytes were kept, by each of its names.
func (m *Memory) Kept(fn func(name string, f interface{ Open() (*os.File, error) })) {
	m.root.kept("/", fn)
}

func (f *memFile) kept(name string, fn func(string, interface{ Open() (*os.File, error) })) {
	if p, ok := f.from.(spooled); ok {
		fn(name, p)
	}
	for base, child := range f.names {
		child.kept(path.Join(name, base), fn)
	}
}

// Index makes an index of the tree.
func (m *Memory) Index() ([]byte, error) {
	m.count()
	w := NewIndexer(true)
	m.root.index(w, "/")
	return w.Index()
}

// index adds a file under one of its names, and what is in it.
func (f *memFile) index(w *Indexer, name string) {
	x := &indexed{entry: *f.entry(name), opaque: f.opaque, xattrs: f.xattrs, content: f.content, sum: f.sum}
	w.group(x)
	w.add(x)
	for _, base := range slices.Sorted(maps.Keys(f.names)) {
		f.names[base].index(w, strings.TrimSuffix(name, "/")+"/"+base)
	}
}
