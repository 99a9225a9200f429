// This file owns directories of this machine as trees, less what an ignore file leaves out.
// Each file is opened by its name in its directory, and compared with what was listed: what changes while a build reads it is
// an error, and no file outside of the directory can be reached.

package files

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// dirTree is a directory of this machine, less what rules leave out. All its files belong to root.
type dirTree struct {
	dirs   openDirs
	rules  *ignoreRules    // nil: everything is there
	own    map[string]bool // directories of gbuild itself, which are not there
	hashes *hashes         // nil: none are remembered

	mu   sync.Mutex
	seen map[string]bool // remembers of ignored directories whether something below is taken
}

// newDirTree shows a directory by the rules of an ignore file.
func newDirTree(root *os.Root, rules *ignoreRules) *dirTree {
	return &dirTree{dirs: openDirs{root: root, dirs: map[string]*os.File{}}, rules: rules, seen: map[string]bool{}}
}

// Lstat goes down from the root, because rules look at every directory on the way.
func (t *dirTree) Lstat(name string) (*Node, error) {
	n, err := t.at("/")
	if err != nil {
		return nil, err
	}
	for _, part := range elements(name) {
		parent := n
		if !parent.IsDir() {
			return nil, missing(name)
		}
		if n, err = t.at(path.Join(parent.Path, part)); err != nil {
			return nil, err
		}
		if visible, err := t.visible(parent, n); err != nil || !visible {
			return nil, cmp.Or(err, missing(name))
		}
	}
	return n, nil
}

// at returns the node of a path, whatever the rules say.
func (t *dirTree) at(name string) (n *Node, err error) {
	base := path.Base(name)
	// The root has no directory above it that could be opened, so it is looked at from within.
	if name == "/" {
		base = "."
	}
	err = t.dirs.with(path.Dir(name), func(dir int) (err error) {
		n, err = t.node(dir, base, name)
		return err
	})
	return n, unreadable(name, err)
}

// node describes an entry of a directory that is open.
func (t *dirTree) node(dir int, base, name string) (*Node, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, unreadable(name, &fs.PathError{Op: "lstat", Path: name, Err: err})
	}
	n := &Node{Path: name}
	n.fill(&st)
	switch {
	case n.IsSymlink():
		link, err := readlinkat(dir, base, n.Size)
		if err != nil {
			return nil, unreadable(name, err)
		}
		n.Link = link
	// No other type of file has attributes of its users, so nobody is asked about theirs.
	case n.IsDir(), n.IsRegular():
		n.xattrs = t.xattrs
	}
	return n, nil
}

// readlinkat reads a link whatever its length. A size of zero is said of links in some file systems.
func readlinkat(dir int, base string, size int64) (string, error) {
	// A full buffer may mean that the link is longer; one byte more than its size tells the two apart.
	for size = max(size, 127) + 1; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dir, base, buf)
		if err != nil {
			return "", err
		}
		if int64(n) < size {
			return string(buf[:n]), nil
		}
	}
}

// ReadDir lists a directory with one open of it, and one stat of each entry.
func (t *dirTree) ReadDir(dir *Node) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		for n, err := range t.readAll(dir) {
			visible := false
			if err == nil {
				visible, err = t.visible(dir, n)
			}
			// An error is yielded once, and ends the list.
			if (visible || err != nil) && !yield(n, err) || err != nil {
				return
			}
		}
	}
}

// statAhead is how many entries of a directory are looked at before the first of them is passed on.
const statAhead = 256

// readAll lists a directory, what is ignored in it included.
func (t *dirTree) readAll(dir *Node) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		names, err := t.names(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		// Entries are looked at in blocks, so that the directory's descriptor is fetched once for many of them.
		for some := range names.Chunks(statAhead) {
			nodes, err := t.nodes(dir.Path, some)
			for _, n := range nodes {
				if !yield(n, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// names lists a directory, which is kept open for the looks at its entries that follow.
func (t *dirTree) names(dir *Node) (*rootfs.Names, error) {
	f, err := t.dirs.openNew(dir.Path)
	if err != nil {
		return nil, unreadable(dir.Path, err)
	}
	names := &rootfs.Names{}
	if err := names.Read(f); err != nil {
		f.Close()
		return nil, unreadable(dir.Path, err)
	}
	t.dirs.keep(dir.Path, f)
	return names, nil
}

// nodes returns the nodes of the names of a directory.
func (t *dirTree) nodes(dir string, names []string) ([]*Node, error) {
	nodes := make([]*Node, 0, len(names))
	err := t.dirs.with(dir, func(fd int) error {
		nodes = nodes[:0]
		for _, name := range names {
			n, err := t.node(fd, name, path.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed a moment ago, as editors do with their temporary files
			}
			if err != nil {
				return err
			}
			nodes = append(nodes, n)
		}
		return nil
	})
	return nodes, err
}

// visible says whether the rules leave n, an entry of the directory parent. An ignored directory is there when something
// below it is.
func (t *dirTree) visible(parent, n *Node) (bool, error) {
	if t.rules == nil || t.own[n.Path] {
		return !t.own[n.Path], nil
	}
	// The state of the parent saves matching its whole path again; that is why nodes are looked at from the root down.
	ignored, state, err := t.rules.patterns.match(local(n.Path), parent.matchedPattern)
	if err != nil {
		return false, err
	}
	n.ignored, n.matchedPattern = ignored, state
	if !ignored || !n.IsDir() {
		return !ignored, nil
	}
	// Without an exception for something below it (!pattern), an ignored directory is not read at all.
	if !t.rules.mayTakeBack(local(n.Path)) {
		return false, nil
	}
	return t.hasVisible(n)
}

// hasVisible looks for anything below an ignored directory that an exception takes back.
func (t *dirTree) hasVisible(dir *Node) (bool, error) {
	// The lock is not held while the directory is read: two goroutines may look twice, and find the same.
	t.mu.Lock()
	found, known := t.seen[dir.Path]
	t.mu.Unlock()
	if known {
		return found, nil
	}
	for n, err := range t.readAll(dir) {
		if err == nil {
			found, err = t.visible(dir, n)
		}
		if err != nil {
			return false, err
		}
		if found {
			break
		}
	}
	t.mu.Lock()
	t.seen[dir.Path] = found
	t.mu.Unlock()
	return found, nil
}

// Open opens a regular file, and fails if it is no longer the one that was listed.
func (t *dirTree) Open(file *Node) (*os.File, error) {
	f, err := t.open(file)
	if err != nil {
		return nil, unreadable(file.Path, err)
	}
	var st unix.Stat_t
	// A file that was replaced since it was listed would give a layer that its key does not stand for.
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Ino != file.Ino || st.Dev != file.Dev || !t.hashes.same(file) {
		f.Close()
		return nil, errChanged(file.Path)
	}
	return f, nil
}

// open opens a file by its name in its directory.
func (t *dirTree) open(file *Node) (f *os.File, err error) {
	if file.Path == "/" {
		return t.dirs.openNew("/")
	}
	err = t.dirs.with(path.Dir(file.Path), func(dir int) (err error) {
		f, err = openAt(dir, path.Base(file.Path), 0)
		return err
	})
	return f, err
}

// xattrs reads the attributes of a node when they are asked for: few files have any.
func (t *dirTree) xattrs(n *Node) (map[string][]byte, error) {
	f, err := t.Open(n)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return fileXattrs(f)
}

// KnownHash is the hash of a regular file that is remembered, where it is local: a file of a directory of this machine.
func KnownHash(t Tree, n *Node) (sum [32]byte, local, known bool) {
	d, local := t.(*dirTree)
	if !local || !n.IsRegular() {
		return sum, false, false
	}
	sum, known = d.hashes.lookup(n)
	return sum, true, known
}
