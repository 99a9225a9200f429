// This file owns the writing of a COPY as a layer.
// A packer gets the same visits as a writer, and describes in a layer what the writer would make. Where the result could be
// another one, as with attributes that are merged, it refuses, and the files are made.

package files

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// newPacker reads what the COPY says of owners and modes, with the accounts of the state below.
func newPacker(l *rootfs.LayerWriter, c *dockerfile.Copy, t Tree) (*packer, error) {
	who, err := parseChown(c.Chown, c.Link, l.Lower().Follow)
	if err != nil {
		return nil, err
	}
	mode, err := parseChmod(c.Chmod)
	if err != nil {
		return nil, err
	}
	return &packer{LayerWriter: l, view: l.Lower(), tree: t, owner: who, chmod: mode}, nil
}

// copy writes what the COPY changes, just as CopyInto and the layer of its draft would.
func (k *packer) copy(ctx context.Context, p *pick) error {
	if err := p.walk(ctx, k); err != nil {
		return err
	}
	k.end()
	return nil
}

// end leaves all directories: the layer has what it is to have.
func (k *packer) end() {
	for len(k.dirs) > 1 {
		k.leave()
	}
}

// files writes files into the directory that dest is, or one file under that name.
func (k *packer) files(dest string, picks []pick) error {
	real, e, err := k.view.Resolve(dest, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ErrNotPackable
	}
	into := strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, "/.") || err == nil && e.IsDir()
	if !into && len(picks) > 1 {
		return ErrNotPackable
	}
	if !into {
		picks = []pick{picks[0]}
		picks[0].name, real = path.Base(real), path.Dir(path.Clean(real))
	}
	slices.SortStableFunc(picks, func(a, b pick) int { return strings.Compare(a.name, b.name) })
	if err := k.descend(real, time.Now()); err != nil {
		return err
	}
	for i, p := range picks {
		if i > 0 && p.name == picks[i-1].name {
			return ErrNotPackable
		}
		alone := *p.node
		alone.Nlink = 1 // its other names are not copied
		if err := k.put(p.name, &alone); err != nil {
			return err
		}
	}
	k.end()
	return nil
}

// packer is the visitor of a pick that writes it into a layer.
type packer struct {
	*rootfs.LayerWriter
	view  *rootfs.View // what the copy is merged with
	tree  Tree
	owner *owner
	chmod chmod
	made  *time.Time  // of new directories on the way; nil: now
	dirs  []packedDir // from the root to where files are put
}

// packedDir is a directory of the layer.
type packedDir struct {
	path  string
	fresh bool // nothing of this name is below
}

func (k *packer) top() packedDir { return k.dirs[len(k.dirs)-1] }

func (k *packer) leave() {
	k.Leave()
	k.dirs = k.dirs[:len(k.dirs)-1]
}

// descend goes to the destination, whose directories are made where they are missing. It takes the time at, unless that is
// zero, and a directory in which another one is made that of now.
func (k *packer) descend(dest string, at time.Time) error {
	real, _, err := k.view.Resolve(dest, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ErrNotPackable
	}
	way, name := []wayDir{{}}, "/"
	for _, part := range elements(real) {
		name = path.Join(name, part)
		d, err := k.onTheWay(name)
		if err != nil {
			return err
		}
		if above := way[len(way)-1]; d.fresh && above.Entry != nil && (k.made == nil || !above.fresh) {
			above.ModTime = time.Now()
		}
		way = append(way, d)
	}
	if last := way[len(way)-1]; last.Entry != nil && !at.IsZero() {
		last.ModTime = at
	}
	k.dirs = []packedDir{{path: "/"}}
	for _, d := range way[1:] {
		if err := k.enter(d.Entry, d.fresh); err != nil {
			return err
		}
	}
	return nil
}

// wayDir is a directory above or at the destination.
type wayDir struct {
	*rootfs.Entry
	fresh bool
}

// onTheWay returns the directory that is there, or a new one.
func (k *packer) onTheWay(name string) (wayDir, error) {
	e, err := k.view.Lstat(name)
	switch {
	case err == nil && !e.IsDir():
		return wayDir{}, ErrNotPackable
	case err == nil:
		there := *e
		return wayDir{Entry: &there}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return wayDir{}, err
	}
	e = &rootfs.Entry{Name: path.Base(name), Path: name, Mode: unix.S_IFDIR | k.chmod.parents(), ModTime: time.Now()}
	if k.owner != nil {
		e.UID, e.GID = k.owner.uid, k.owner.gid
	}
	if k.made != nil {
		e.ModTime = *k.made
	}
	return wayDir{Entry: e, fresh: true}, nil
}

// enter writes a directory, and goes into it.
func (k *packer) enter(e *rootfs.Entry, fresh bool) error {
	if err := k.Enter(e); err != nil {
		return err
	}
	k.dirs = append(k.dirs, packedDir{path: e.Path, fresh: fresh})
	return nil
}

// enterDir writes a directory of the pick. One that is there is merged with it, but for its attributes.
func (k *packer) enterDir(_ string, n *Node) error {
	e := k.entry(path.Base(n.Path), n)
	fresh := k.top().fresh
	if !fresh {
		below, err := k.view.Lstat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if fresh = err != nil; !fresh {
			xattrs, err := below.Xattrs()
			if err != nil || !below.IsDir() || len(xattrs) > 0 { // those would be merged
				return cmp.Or(err, ErrNotPackable)
			}
		}
	}
	return k.enter(e, fresh)
}

func (k *packer) leaveDir(string, *Node, bool) error {
	k.leave()
	return nil
}

func (k *packer) file(_ string, n *Node) error { return k.put(path.Base(n.Path), n) }

// put writes anything but a directory, where it takes the place of nothing, or of a file.
func (k *packer) put(name string, n *Node) error {
	e := k.entry(name, n)
	if n.Mode&unix.S_IFMT == unix.S_IFSOCK || n.Mode&unix.S_IFMT == unix.S_IFCHR && n.Rdev == 0 {
		return ErrNotPackable
	}
	if !k.top().fresh {
		below, err := k.view.Lstat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && (below.IsDir() || n.Nlink > 1) { // of several names, some may not be copied
			return ErrNotPackable
		}
	}
	return k.Put(e)
}

// entry describes the copy of n.
func (k *packer) entry(name string, n *Node) *rootfs.Entry {
	e := &rootfs.Entry{Name: name, Path: path.Join(k.top().path, name), Mode: n.Mode, UID: n.UID, GID: n.GID, Size: n.Size,
		ModTime: n.ModTime, Link: n.Link, Rdev: n.Rdev, Ino: n.Ino, Dev: n.Dev, Nlink: n.Nlink}
	if !n.IsSymlink() {
		e.Mode = n.Mode&unix.S_IFMT | k.chmod.apply(n)
	}
	if k.owner != nil {
		e.UID, e.GID = k.owner.uid, k.owner.gid
	}
	if n.IsRegular() || n.IsDir() {
		e.Content = &nodeContent{k.tree, n}
	}
	return e
}

// nodeContent reads a file of a tree for a layer.
type nodeContent struct {
	tree Tree
	node *Node
}

// Open, Xattrs and Unchanged let a layer read the file of an entry.
func (c *nodeContent) Open() (*os.File, error) { return c.tree.Open(c.node) }

func (c *nodeContent) Xattrs(f *os.File) (map[string][]byte, error) {
	if f == nil {
		return c.node.Xattrs()
	}
	return xattrsOf(c.node, f)
}

func (c *nodeContent) Unchanged(f *os.File) error { return unchanged(f, c.node) }
