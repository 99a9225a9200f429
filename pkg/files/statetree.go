// This file owns the files of a state as a tree.

package files

import (
	"iter"
	"os"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ViewTree makes a Tree of the files of a state.
func ViewTree(v *rootfs.View) Tree { return &stateTree{view: v} }

// stateTree is a view as a Tree.
type stateTree struct{ view *rootfs.View }

// Lstat implements Tree.
func (t *stateTree) Lstat(name string) (*Node, error) {
	e, err := t.view.Lstat(name)
	if err != nil {
		return nil, NeedsRights(err)
	}
	return stateNode(e), nil
}

// stateNode takes over an entry.
func stateNode(e *rootfs.Entry) *Node {
	n := &Node{Path: e.Path, Mode: e.Mode, UID: e.UID, GID: e.GID, Size: e.Size, ModTime: e.ModTime, Link: e.Link,
		Rdev: e.Rdev, Ino: e.Ino, Dev: e.Dev, Nlink: e.Nlink, entry: e}
	if e.Source() != "" || e.Content != nil {
		n.xattrs = func(n *Node) (map[string][]byte, error) { return n.entry.Xattrs() }
	}
	return n
}

// ReadDir implements Tree.
func (t *stateTree) ReadDir(dir *Node) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		for e, err := range t.view.Entries(dir.Path) {
			var n *Node
			if err == nil {
				n = stateNode(e)
			}
			if !yield(n, NeedsRights(err)) || err != nil {
				return
			}
		}
	}
}

// Open implements Tree.
func (t *stateTree) Open(file *Node) (*os.File, error) {
	f, err := file.entry.Open()
	return f, NeedsRights(err)
}
