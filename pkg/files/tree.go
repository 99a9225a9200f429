// This file owns what a tree is, and the files of a state as one.

package files

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Node is one name in a Tree, as lstat shows it. UID and GID are those that the image gets: 0 for files of a context.
type Node struct {
	Path           string // absolute and clean, from the root of the tree
	Mode           uint32 // type and permissions as in st_mode
	UID, GID       int
	Size           int64
	ModTime        time.Time
	Link           string // target of a symbolic link
	Rdev           uint64
	Ino, Dev       uint64
	Nlink          uint64
	changed        int64 // ctime in nanoseconds; 0 where it is not known
	xattrs         func(*Node) (map[string][]byte, error)
	entry          *rootfs.Entry
	ignored        bool // seen only because something below it is not ignored
	matchedPattern matchState
}

// IsDir says whether the node is a directory.
func (n *Node) IsDir() bool { return n.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsRegular says whether the node is a regular file.
func (n *Node) IsRegular() bool { return n.Mode&unix.S_IFMT == unix.S_IFREG }

// IsSymlink says whether the node is a symbolic link.
func (n *Node) IsSymlink() bool { return n.Mode&unix.S_IFMT == unix.S_IFLNK }

// Xattrs returns the extended attributes that belong into an image: file capabilities and user attributes.
func (n *Node) Xattrs() (map[string][]byte, error) {
	if n.xattrs == nil {
		return nil, nil
	}
	return n.xattrs(n)
}

// xattrsOf reads the attributes of n, which is open as f.
func xattrsOf(n *Node, f *os.File) (map[string][]byte, error) {
	if n.entry != nil {
		return n.Xattrs()
	}
	return fileXattrs(f)
}

// Tree is a place that files are copied from: a build context or the state of a stage. Nothing outside of its root can
// be reached through it. A Tree may be used by several goroutines.
type Tree interface {
	// Lstat returns the node of a path that leads through no symbolic link; fs.ErrNotExist where there is none.
	Lstat(name string) (*Node, error)
	// ReadDir returns what is in a directory, sorted by name. It ends with the first error.
	ReadDir(dir *Node) iter.Seq2[*Node, error]
	// Open opens a regular file.
	Open(file *Node) (*os.File, error)
}

// maxLinks is how many symbolic links a path may lead through.
const maxLinks = 255

// follow resolves the symbolic links of a path as a process would whose root is that of the tree.
func follow(t Tree, name string, last bool) (*Node, error) {
	at, rest, links := "/", elements(name), 0
	n, err := t.Lstat("/")
	for err == nil && len(rest) > 0 {
		next := rest[0]
		rest = rest[1:]
		if next == ".." {
			at = path.Dir(at)
			n, err = t.Lstat(at)
			continue
		}
		if !n.IsDir() {
			return nil, &fs.PathError{Op: "resolve", Path: path.Join(at, next), Err: fs.ErrNotExist}
		}
		child := path.Join(at, next)
		if n, err = t.Lstat(child); err != nil {
			break
		}
		if !n.IsSymlink() || len(rest) == 0 && !last {
			at = child
			continue
		}
		if links++; links > maxLinks {
			return nil, &fs.PathError{Op: "resolve", Path: child, Err: unix.ELOOP}
		}
		if strings.HasPrefix(n.Link, "/") {
			at = "/"
		}
		rest = append(elements(n.Link), rest...)
		n, err = t.Lstat(at)
	}
	return n, err
}

// elements returns the parts of a path that mean something.
func elements(name string) (parts []string) {
	for p := range strings.SplitSeq(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}

// ViewTree makes a Tree of the files of a state.
func ViewTree(v *rootfs.View) Tree { return &stateTree{view: v} }

type stateTree struct{ view *rootfs.View }

func (t *stateTree) Lstat(name string) (*Node, error) {
	e, err := t.view.Lstat(name)
	if err != nil {
		return nil, NeedsRights(err)
	}
	return stateNode(e)
}

// stateNode takes over an entry. Outside of a namespace the caller's own files are root's; those of other ids are files
// that only a namespace can name.
func stateNode(e *rootfs.Entry) (*Node, error) {
	n := &Node{Path: e.Path, Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, ModTime: e.ModTime, Link: e.Link,
		Rdev: e.Rdev, Ino: e.Ino, Dev: e.Dev, Nlink: e.Nlink, entry: e}
	if e.Source() != "" {
		n.xattrs = func(n *Node) (map[string][]byte, error) { return n.entry.Xattrs() }
	}
	if uid := os.Geteuid(); uid != 0 && e.Source() != "" {
		if e.UID != uid || e.GID != os.Getegid() {
			return nil, fmt.Errorf("%s belongs to user %d: %w", e.Path, e.UID, ErrNoRights)
		}
		n.UID, n.GID = 0, 0
	}
	return n, nil
}

func (t *stateTree) ReadDir(dir *Node) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		for e, err := range t.view.Entries(dir.Path) {
			var n *Node
			if err == nil {
				n, err = stateNode(e)
			}
			if !yield(n, NeedsRights(err)) || err != nil {
				return
			}
		}
	}
}

func (t *stateTree) Open(file *Node) (*os.File, error) {
	f, err := file.entry.Open()
	return f, NeedsRights(err)
}
