// This file owns the placement of a COPY, an ADD or a WORKDIR: what a destination means, which directories are made on the way,
// who owns each name, its mode and its time, and what may be replaced.
// It is decided here for drafts and for layers alike, so that the layer of a COPY is the same by both. A directory has its final
// time before it is entered, because a layer is written from front to back.

package files

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// placer decides where sources go and what they become there. It tells a sink, from the root downwards.
type placer struct {
	sink  sink
	view  *rootfs.View // what is at the destination
	owner *owner       // nil: the owner of each source
	chmod chmod
	made  *time.Time // of directories that are made on the way; nil: now

	tree  Tree                 // of the current pick
	links map[[2]uint64]string // of the current pick: source inode -> its first copy
	dirs  []*placed            // those that were entered, from the root
}

// newPlacer reads what the COPY says of owners and modes, with the accounts of what is at the destination.
func newPlacer(s sink, v *rootfs.View, c *dockerfile.Copy) (*placer, error) {
	who, err := parseChown(c.Chown, c.Link, v.Follow)
	if err != nil {
		return nil, err
	}
	mode, err := parseChmod(c.Chmod)
	return &placer{sink: s, view: v, owner: who, chmod: mode}, err
}

// makeDir makes a WORKDIR and what is missing above it.
func makeDir(s sink, v *rootfs.View, m *dockerfile.Mkdir) error {
	who, err := parseChown(m.User, false, v.Follow)
	if err != nil {
		return err
	}
	p := &placer{sink: s, view: v, owner: who, made: m.Time}
	real, e, err := p.resolve(m.Path)
	if err != nil {
		return err
	}
	if e != nil && !e.IsDir() {
		return refuse("cannot make directory %s: it exists and is no directory", m.Path)
	}
	return p.onlyWay(real)
}

// place copies one directory, or files, to the destination. Of files, the names are in their order.
func (p *placer) place(ctx context.Context, dest string, picks ...pick) error {
	real, e, err := p.resolve(dest)
	if err != nil {
		return err
	}
	slash, there := strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, "/."), e != nil && e.IsDir()
	if first := &picks[0]; first.node.IsDir() {
		if e != nil && !there && !slash {
			return refuse("cannot copy to non-directory: %s", real)
		}
		return p.contents(ctx, first, real)
	}
	if !slash && !there {
		if len(picks) > 1 {
			return ErrNotPackable
		}
		picks = []pick{picks[0]}
		real, picks[0].name = path.Dir(real), path.Base(real)
	}
	return p.files(picks, real)
}

// contents copies what is in a directory into dir, which is made where it is missing. Its owner and mode are left alone;
// it takes the time of the source.
func (p *placer) contents(ctx context.Context, from *pick, dir string) error {
	if err := p.way(dir, p.chmod.parents(), from.node.ModTime); err != nil {
		return err
	}
	p.begin(from.tree)
	if err := from.walk(ctx, p); err != nil {
		return err
	}
	return p.leaveAll()
}

// files copies files into a directory.
func (p *placer) files(picks []pick, dir string) error {
	if err := p.way(dir, p.chmod.parents(), time.Now()); err != nil {
		return err
	}
	for _, from := range picks {
		p.begin(from.tree)
		e := p.entry(from.name, from.node)
		e.Nlink = 1 // its other names are not copied
		if err := p.put(e); err != nil {
			return err
		}
	}
	return p.leaveAll()
}

// begin starts another pick. Names of one file are kept together within a pick only.
func (p *placer) begin(t Tree) { p.tree, p.links = t, map[[2]uint64]string{} }

// descend copies what the path rest names in the directory dir into the current one.
func (p *placer) descend(ctx context.Context, dir *Node, rest []string) error {
	if len(rest) == 0 {
		from := &pick{tree: p.tree, node: dir}
		return from.walk(ctx, p)
	}
	n, err := p.tree.Lstat(path.Join(dir.Path, rest[0]))
	if err != nil {
		return err
	}
	if !n.IsDir() {
		return p.file(rest[0], n)
	}
	if err := p.enterDir(rest[0], n); err != nil {
		return err
	}
	if err := p.descend(ctx, n, rest[1:]); err != nil {
		return err
	}
	return p.leaveDir(rest[0], n, true)
}

// resolve follows the links of a destination. Where the path does not exist it returns where it would be, and nil.
func (p *placer) resolve(name string) (string, *rootfs.Entry, error) {
	real, e, err := p.view.Resolve(name, true)
	if errors.Is(err, fs.ErrNotExist) {
		return path.Clean(real), nil, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return "", nil, refuse("%s is below something that is not a directory", name)
	}
	return real, e, err
}

// lstat returns what has a name in the current directory, nil where there is nothing.
func (p *placer) lstat(name string) (*rootfs.Entry, error) {
	if p.top().below == nil {
		return nil, nil
	}
	e, err := p.view.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return e, err
}

func (p *placer) top() *placed { return p.dirs[len(p.dirs)-1] }

// enterDir makes the directory, or finds it there; leaveDir then gives it the metadata of the source in either case.
func (p *placer) enterDir(_ string, n *Node) (err error) {
	d := &placed{Entry: p.entry(path.Base(n.Path), n), takes: everything}
	if d.below, err = p.lstat(d.Path); err != nil {
		return err
	}
	if d.below != nil && !d.below.IsDir() {
		return refuse("cannot copy to non-directory: %s", d.Path)
	}
	p.dirs = append(p.dirs, d)
	return p.sink.enter(d)
}

// leaveDir ends a directory. One that was there, and is only on the way to what --parents names, takes the mode alone.
func (p *placer) leaveDir(_ string, n *Node, taken bool) error {
	if d := p.top(); !taken && d.below != nil {
		d.takes, d.Mode = itsMode, n.Mode
	}
	return p.leave()
}

func (p *placer) leave() error {
	d := p.top()
	p.dirs = p.dirs[:len(p.dirs)-1]
	return p.sink.leave(d)
}

// leaveAll ends the placement of a pick: each directory gets what it takes.
func (p *placer) leaveAll() error {
	for len(p.dirs) > 0 {
		if err := p.leave(); err != nil {
			return err
		}
	}
	return nil
}

// file copies anything but a directory under its own name.
func (p *placer) file(_ string, n *Node) error { return p.put(p.entry(path.Base(n.Path), n)) }

// put copies what is no directory. It takes the place of what is there, but of no directory.
func (p *placer) put(e *rootfs.Entry) (err error) {
	f := &placed{Entry: e}
	if f.below, err = p.lstat(e.Path); err != nil {
		return err
	}
	if f.below != nil && f.below.IsDir() {
		return refuse("cannot replace directory %s with file", e.Path)
	}
	if e.IsWhiteout() {
		return refuse("copying to %s: character device 0:0 stands for a removed file in a layer and cannot be copied", e.Path)
	}
	if e.IsRegular() && e.Nlink > 1 {
		inode := [2]uint64{e.Dev, e.Ino}
		if f.first = p.links[inode]; f.first == "" {
			p.links[inode] = e.Path
		}
	}
	return p.sink.put(f)
}

// entry describes the copy of n in the current directory.
func (p *placer) entry(name string, n *Node) *rootfs.Entry {
	e := &rootfs.Entry{Name: name, Path: path.Join(p.top().Path, name), Mode: n.Mode, UID: n.UID, GID: n.GID, Size: n.Size,
		ModTime: n.ModTime, Link: n.Link, Rdev: n.Rdev, Ino: n.Ino, Dev: n.Dev, Nlink: n.Nlink}
	if !n.IsSymlink() {
		e.Mode = n.Mode&unix.S_IFMT | p.chmod.apply(n)
	}
	if p.owner != nil {
		e.UID, e.GID = p.owner.uid, p.owner.gid
	}
	if n.IsRegular() || n.IsDir() {
		e.Content = &nodeContent{p.tree, n}
	}
	return e
}

// onlyWay makes a directory, whose path has no links, and the missing ones above it.
func (p *placer) onlyWay(dir string) error {
	if err := p.way(dir, 0o755, time.Time{}); err != nil {
		return err
	}
	return p.leaveAll()
}

// way enters a directory, whose path has no links, and makes what is missing of it. The directory takes the time at, unless
// that is zero, and one that is there and in which another one is made that of now.
func (p *placer) way(dir string, perm uint32, at time.Time) error {
	root := &rootfs.Entry{Name: "/", Path: "/", Mode: unix.S_IFDIR}
	p.dirs = []*placed{{Entry: root, below: root}}
	for _, part := range elements(dir) {
		if err := p.step(part, perm); err != nil {
			return err
		}
	}
	if last := p.top(); !at.IsZero() {
		last.takeTime(at)
	}
	for _, d := range p.dirs {
		if err := p.sink.enter(d); err != nil {
			return err
		}
	}
	return nil
}

// step adds the directory of that name to those that are entered: the one that is there, or a new one.
func (p *placer) step(name string, perm uint32) error {
	above, now := p.top(), time.Now()
	at := path.Join(above.Path, name)
	below, err := p.lstat(at)
	switch {
	case err != nil:
		return err
	case below != nil && !below.IsDir():
		return refuse("cannot make directory %s: it exists and is no directory", at)
	case below != nil:
		there := *below
		p.dirs = append(p.dirs, &placed{Entry: &there, below: below})
		return nil
	}
	if above.below != nil {
		above.takeTime(now)
	}
	d := &placed{Entry: &rootfs.Entry{Name: name, Path: at, Mode: unix.S_IFDIR | perm, ModTime: now}, takes: everything}
	if p.owner != nil {
		d.UID, d.GID = p.owner.uid, p.owner.gid
	}
	if p.made != nil {
		d.ModTime = *p.made
	}
	p.dirs = append(p.dirs, d)
	return nil
}
