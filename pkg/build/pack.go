package build

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// errNotPackable says that a COPY has to be done file by file: it is no plain copy of one directory, or it fails.
var errNotPackable = errors.New("the step cannot be packed")

// packable says whether a step can be made as a layer without its files: nothing in this build reads them, and it is a
// COPY of one source onto files that are there, or that do not matter.
func (w *work) packable() bool {
	c, ok := w.step.(*dockerfile.Copy)
	return ok && w.unread() && len(c.Sources) == 1 && len(c.Inline) == 0 && !c.Parents && (isLinked(c) || w.Store.Unpacked(w.parent))
}

// isLinked says whether a step is a COPY --link, which is the same whatever it stands on. With --chmod BuildKit copies as
// ever.
func isLinked(s dockerfile.Step) bool {
	c, ok := s.(*dockerfile.Copy)
	return ok && c.Link && c.Chmod == ""
}

// unread says whether only the layer of a step's result is wanted: what follows it in the image reads no files.
func (w *work) unread() bool {
	if w.req.NoLayers || w.req.Files || w.req.Layering == OneLayer {
		return false
	}
	for st := w.target; st != nil; st = st.parent {
		for _, s := range slices.Backward(st.steps) {
			if st == w.stage && s == w.step {
				return true
			}
			if !isLinked(s) {
				return false
			}
		}
	}
	return false
}

// floats says whether the layers of a step are made without what they stand on: neither the step nor what follows needs
// that, and it would have to be fetched or unpacked.
func (w *work) floats() bool {
	return isLinked(w.step) && w.unread() && !w.Store.Unpacked(w.parent)
}

// below returns the files that a packed layer is written over.
func (w *work) below() (*layers.View, error) {
	if isLinked(w.step) {
		return layers.NewView(), nil
	}
	return w.Store.View(w.parent)
}

// pack makes the state of the step as a layer only. The error is errNotPackable where the files must be made after all.
func (w *work) pack(ctx context.Context, out layers.Key) error {
	if !w.packable() {
		return errNotPackable
	}
	c := w.step.(*dockerfile.Copy)
	p, err := w.onlyDir(ctx, c)
	if err != nil {
		return err
	}
	lower, err := w.below()
	if err != nil {
		return err
	}
	err = w.Store.Pack(ctx, out, w.parent, lower, w.layerOptions(w.extraLayers()), func(l *layers.LayerWriter) error {
		k, err := newPacker(l, c, p)
		if err != nil {
			return err
		}
		w.begin()
		return k.copy(ctx, p)
	})
	if errors.Is(err, errNotPackable) || errors.Is(err, layers.ErrMaySplit) || errors.Is(err, layers.ErrForeignOwner) {
		return errNotPackable
	}
	return needsNamespace(err)
}

// onlyDir returns the directory that is all that c copies.
func (w *work) onlyDir(ctx context.Context, c *dockerfile.Copy) (*pick, error) {
	if c.Add {
		if remote, err := parseRemote(c, c.Sources[0]); remote != nil || err != nil {
			return nil, errNotPackable
		}
	}
	tree, err := w.tree(ctx, c.From)
	if err != nil {
		return nil, err
	}
	picks, err := pickLocal(ctx, tree, c, c.Sources[0])
	if err != nil || len(picks) != 1 || !picks[0].node.IsDir() {
		return nil, errNotPackable
	}
	return &picks[0], nil
}

// newPacker goes to the destination of a COPY of one directory.
func newPacker(l *layers.LayerWriter, c *dockerfile.Copy, p *pick) (*packer, error) {
	who, err := parseChown(c.Chown, c.Link, l.Lower().Follow)
	if err != nil {
		return nil, err
	}
	mode, err := parseChmod(c.Chmod)
	if err != nil {
		return nil, err
	}
	k := &packer{LayerWriter: l, view: l.Lower(), tree: p.tree, owner: who, chmod: mode}
	return k, k.descend(c.Dest, p.node.ModTime)
}

// copy writes what the COPY changes, just as copyInto and the layer of its draft would.
func (k *packer) copy(ctx context.Context, p *pick) error {
	if err := p.walk(ctx, k); err != nil {
		return err
	}
	for len(k.dirs) > 1 {
		k.leave()
	}
	return nil
}

// packer is the visitor of a pick that writes it into a layer.
type packer struct {
	*layers.LayerWriter
	view  *layers.View // what the copy is merged with
	tree  Tree
	owner *owner
	chmod chmod
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

// descend goes to the destination, whose directories are made where they are missing. It takes the time of the source, and
// a directory in which another one is made that of now.
func (k *packer) descend(dest string, at time.Time) error {
	real, _, err := k.view.Resolve(dest, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errNotPackable
	}
	way, name := []wayDir{{}}, "/"
	for _, part := range elements(real) {
		name = path.Join(name, part)
		d, err := k.onTheWay(name)
		if err != nil {
			return err
		}
		if above := way[len(way)-1]; d.fresh && above.Entry != nil {
			above.ModTime = d.ModTime
		}
		way = append(way, d)
	}
	if last := way[len(way)-1]; last.Entry != nil {
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
	*layers.Entry
	fresh bool
}

// onTheWay returns the directory that is there, or a new one.
func (k *packer) onTheWay(name string) (wayDir, error) {
	e, err := k.view.Lstat(name)
	switch {
	case err == nil && !e.IsDir():
		return wayDir{}, errNotPackable
	case err == nil:
		there := *e
		return wayDir{Entry: &there}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return wayDir{}, err
	}
	e = &layers.Entry{Name: path.Base(name), Path: name, Mode: unix.S_IFDIR | k.chmod.parents(), ModTime: time.Now()}
	if k.owner != nil {
		e.UID, e.GID = k.owner.uid, k.owner.gid
	}
	return wayDir{Entry: e, fresh: true}, nil
}

func (k *packer) enter(e *layers.Entry, fresh bool) error {
	if err := k.Enter(e); err != nil {
		return err
	}
	k.dirs = append(k.dirs, packedDir{path: e.Path, fresh: fresh})
	return nil
}

func (k *packer) enterDir(_ string, n *Node) error {
	e := k.entry(n)
	fresh := k.top().fresh
	if !fresh {
		below, err := k.view.Lstat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if fresh = err != nil; !fresh {
			xattrs, err := below.Xattrs()
			if err != nil || !below.IsDir() || len(xattrs) > 0 { // those would be merged
				return cmpErr(err, errNotPackable)
			}
		}
	}
	return k.enter(e, fresh)
}

func (k *packer) leaveDir(string, *Node, bool) error {
	k.leave()
	return nil
}

func (k *packer) file(_ string, n *Node) error {
	e := k.entry(n)
	if n.Mode&unix.S_IFMT == unix.S_IFSOCK || n.Mode&unix.S_IFMT == unix.S_IFCHR && n.Rdev == 0 {
		return errNotPackable
	}
	if !k.top().fresh {
		below, err := k.view.Lstat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && (below.IsDir() || n.Nlink > 1) { // of several names, some may not be copied
			return errNotPackable
		}
	}
	return k.Put(e)
}

// entry describes the copy of n.
func (k *packer) entry(n *Node) *layers.Entry {
	name := path.Base(n.Path)
	e := &layers.Entry{Name: name, Path: path.Join(k.top().path, name), Mode: n.Mode, UID: n.UID, GID: n.GID, Size: n.Size,
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

func (c *nodeContent) Open() (*os.File, error) { return c.tree.Open(c.node) }

func (c *nodeContent) Xattrs(f *os.File) (map[string][]byte, error) {
	if f == nil {
		return c.node.Xattrs()
	}
	return xattrsOf(c.node, f)
}

func (c *nodeContent) Unchanged(f *os.File) error { return unchanged(f, c.node) }
