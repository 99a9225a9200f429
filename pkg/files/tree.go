// This file owns what a tree is: nodes, and the links that a path leads through.
// A path is resolved here name by name, with the root of the tree as the root of all links, whatever the tree is made of.

package files

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/moby/patternmatcher"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
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

// Target returns the target of a symbolic link.
func (n *Node) Target() string { return n.Link }

// Xattrs returns the extended attributes that belong into an image: file capabilities and user attributes.
func (n *Node) Xattrs() (map[string][]byte, error) {
	if n.xattrs == nil {
		return nil, nil
	}
	return n.xattrs(n)
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

// follow resolves the symbolic links of a path as a process would whose root is that of the tree. What lies below a file is
// missing, as it is for who copies.
func follow(t Tree, name string, last bool) (*Node, error) {
	at, n, err := rootfs.Follow(t.Lstat, "/", name, last)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) && failed.Op == "resolve" && errors.Is(failed.Err, unix.ENOTDIR) {
		return nil, &fs.PathError{Op: "resolve", Path: at, Err: fs.ErrNotExist}
	}
	return n, err
}

// fill takes over what stat says, but for the owner.
func (n *Node) fill(st *unix.Stat_t) {
	n.Mode, n.Size, n.Rdev = st.Mode, st.Size, st.Rdev
	n.Ino, n.Dev, n.Nlink = st.Ino, st.Dev, uint64(st.Nlink) //nolint:unconvert // It is a uint32 on arm64.
	n.ModTime = time.Unix(st.Mtim.Unix())
	n.changed = unix.TimespecToNsec(st.Ctim)
}

// errChanged says that another process wrote to a file of the context while the build read it.
func errChanged(name string) error {
	return hint.Errorf("build again when nothing writes to the context, or name the file in .dockerignore", "%q changed while it was read", name)
}

// unchanged checks that a source is what it was when it was listed, and so what the key of the step says.
func unchanged(src *os.File, n *Node) error {
	if n.entry != nil && n.entry.Content != nil {
		return n.entry.Content.Unchanged(src)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return err
	}
	now := Node{}
	now.fill(&st)
	if now.Size != n.Size || !now.ModTime.Equal(n.ModTime) || n.changed != 0 && now.changed != n.changed {
		return errChanged(n.Path)
	}
	return nil
}

// unreadable names a file of the context that the user may not read. It is no reason to enter a namespace: nobody may
// read more there.
func unreadable(name string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return hint.Errorf("make it readable for the user who builds, or name it in .dockerignore", "reading %q: permission denied", name)
	}
	return err
}

// nodeOf describes an open file that is to be copied as a file of root.
func nodeOf(f *os.File, name string, perm uint32) (*Node, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	n := &Node{Path: name}
	n.fill(&st)
	n.Mode = unix.S_IFREG | perm
	return n, nil
}

// matchState is what is known of a directory's matches, for what is in it.
type matchState = patternmatcher.MatchInfo
