// This file owns the writing of directories, and of owners, modes, times and attributes.
// A change of the owner drops setuid bits and capabilities, and writing changes times: so the order is owner, attributes, mode,
// time, everywhere.

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// writer puts copies into the upper directory of a draft, or into a plain directory. Every file is made by the
// descriptor of its directory and never through a link.
type writer struct {
	root   *os.Root
	view   *rootfs.View           // what is there: decides what is merged, replaced or refused
	copyUp func(dir string) error // makes a directory of view in the upper directory
	owner  *owner                 // nil: the owner of each source
	chmod  chmod
	notice func(text string)

	tree    Tree                 // of the current pick
	links   map[[2]uint64]string // of the current pick: source inode -> its first copy
	stack   []*outDir
	noClone bool // the filesystem cannot share blocks with that of the sources
}

// outDir is a directory that files are being put into.
type outDir struct {
	path   string
	fd     *os.File
	fresh  bool // made by this copy: nothing can be in the way
	setgid bool // gives its group to what is made in it
}

// draftWriter writes into a draft: over what its parent has, or for --link as if that had nothing.
func draftWriter(d *layers.Draft, link bool) (*writer, error) {
	root, err := os.OpenRoot(d.Dir())
	if err != nil {
		return nil, err
	}
	if link {
		return &writer{root: root, view: rootfs.NewView(d.Dir()), copyUp: func(string) error { return nil }}, nil
	}
	return &writer{root: root, view: d.View(), copyUp: d.CopyUp}, nil
}

// close closes what an error left open, too.
func (w *writer) close() error {
	for len(w.stack) > 0 {
		w.pop()
	}
	return w.root.Close()
}

func (w *writer) top() *outDir { return w.stack[len(w.stack)-1] }

// pop goes back to the directory above.
func (w *writer) pop() {
	w.top().fd.Close()
	w.stack = w.stack[:len(w.stack)-1]
}

// push makes the directory, which is in the view, the one that is written to.
func (w *writer) push(dir string, fresh bool) error {
	if !fresh {
		if err := w.copyUp(dir); err != nil {
			return err
		}
	}
	fd, err := w.root.Open(local(dir))
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &st); err != nil {
		fd.Close()
		return err
	}
	w.stack = append(w.stack, &outDir{path: dir, fd: fd, fresh: fresh, setgid: st.Mode&unix.S_ISGID != 0})
	return nil
}

// resolve follows the links of a destination. Where the path does not exist it returns where it would be, and nil.
func (w *writer) resolve(name string) (string, *rootfs.Entry, error) {
	real, e, err := w.view.Resolve(name, true)
	if errors.Is(err, fs.ErrNotExist) {
		return path.Clean(real), nil, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return "", nil, fmt.Errorf("%s is below something that is not a directory", name)
	}
	return real, e, err
}

// mkdirAll makes a directory, whose path has no links, and the missing ones above it.
func (w *writer) mkdirAll(dir string, o owner, perm uint32) (made []string, err error) {
	at := "/"
	for _, part := range elements(dir) {
		parent := at
		at = path.Join(at, part)
		e, err := w.view.Lstat(at)
		if err == nil && !e.IsDir() {
			return made, fmt.Errorf("cannot make directory %s: it exists and is no directory", at)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
		if err := w.mkdir(parent, part, o, perm); err != nil {
			return made, fmt.Errorf("making directory %s: %w", at, err)
		}
		made = append(made, at)
	}
	return made, nil
}

// mkdir makes one directory that is not there.
func (w *writer) mkdir(parent, name string, o owner, perm uint32) error {
	if err := w.push(parent, false); err != nil {
		return err
	}
	defer w.pop()
	if err := w.makeDir(name); err != nil {
		return err
	}
	return w.own(name, o, perm)
}

// makeDir makes a directory in the current one. Where the upper directory has a whiteout of that name, the new
// directory hides what is below, as the whiteout did.
func (w *writer) makeDir(name string) error {
	fd := int(w.top().fd.Fd())
	hidden := !w.top().fresh && unix.Unlinkat(fd, name, 0) == nil
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return err
	}
	if !hidden {
		return nil
	}
	dir, err := w.root.Open(local(path.Join(w.top().path, name)))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Fsetxattr(int(dir.Fd()), "user.overlay.opaque", []byte("y"), 0)
}

// own sets owner and permissions of what was just made in the current directory. A change of the owner clears setuid
// bits, so it comes first.
func (w *writer) own(name string, o owner, perm uint32) error {
	if err := w.chown(name, o); err != nil {
		return err
	}
	return unix.Fchmodat(int(w.top().fd.Fd()), name, perm, 0)
}

// chown gives a new file its owner.
func (w *writer) chown(name string, o owner) error {
	if o == (owner{}) && !w.top().setgid {
		return nil
	}
	host, err := rootfs.Owner{UID: o.uid, GID: o.gid}.OnHost()
	if err != nil {
		return NeedsRights(err)
	}
	return unix.Fchownat(int(w.top().fd.Fd()), name, host.UID, host.GID, unix.AT_SYMLINK_NOFOLLOW)
}

// ownerOf returns who the copy of n belongs to.
func (w *writer) ownerOf(n *Node) owner {
	if w.owner != nil {
		return *w.owner
	}
	return owner{n.UID, n.GID}
}

// enterDir makes the directory, or finds it there; leaveDir then gives it the metadata of the source in either case.
func (w *writer) enterDir(_ string, n *Node) error {
	dir := path.Join(w.top().path, path.Base(n.Path))
	fresh := w.top().fresh
	if !fresh {
		e, err := w.view.Lstat(dir)
		switch {
		case err == nil && !e.IsDir():
			return fmt.Errorf("cannot copy to non-directory: %s", dir)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		fresh = err != nil
	}
	if fresh {
		if err := w.makeDir(path.Base(n.Path)); err != nil {
			return fmt.Errorf("making directory %s: %w", dir, err)
		}
	}
	return w.push(dir, fresh)
}

// leaveDir gives a directory its metadata, when nothing more is put into it.
func (w *writer) leaveDir(_ string, n *Node, taken bool) error {
	dir := w.top()
	w.pop()
	err := w.describeDir(dir, n, taken)
	if err != nil {
		return fmt.Errorf("copying metadata to %s: %w", dir.path, err)
	}
	return nil
}

// describeDir gives a directory the metadata of n. One that was there, and is only on the way to what --parents names,
// takes the mode alone.
func (w *writer) describeDir(dir *outDir, n *Node, taken bool) error {
	name := path.Base(dir.path)
	if !dir.fresh && !taken {
		return unix.Fchmodat(int(w.top().fd.Fd()), name, n.Mode&0o7777, 0)
	}
	chown := w.chown
	if !dir.fresh { // it may belong to anyone
		chown = w.chownExisting
	}
	if err := chown(name, w.ownerOf(n)); err != nil {
		return err
	}
	xattrs, err := n.Xattrs()
	if err != nil {
		return err
	}
	if err := w.setXattrs(dir.path, xattrs); err != nil {
		return err
	}
	if err := unix.Fchmodat(int(w.top().fd.Fd()), name, w.chmod.apply(n), 0); err != nil {
		return err
	}
	return w.touch(name, n)
}

// chownExisting gives what was there an owner: it may have any, and not only that of its maker.
func (w *writer) chownExisting(name string, o owner) error {
	setgid := w.top().setgid
	w.top().setgid = true
	defer func() { w.top().setgid = setgid }()
	return w.chown(name, o)
}

// setXattrs gives a directory its attributes.
func (w *writer) setXattrs(name string, xattrs map[string][]byte) error {
	if len(xattrs) == 0 {
		return nil
	}
	f, err := w.root.Open(local(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return w.setFileXattrs(f, name, xattrs)
}

// setFileXattrs leaves out what the file system of the store cannot hold, and says so.
func (w *writer) setFileXattrs(f *os.File, name string, xattrs map[string][]byte) error {
	for key, value := range xattrs {
		err := unix.Fsetxattr(int(f.Fd()), key, value, 0)
		if err == unix.ENOTSUP && w.notice != nil {
			w.notice(fmt.Sprintf("%s of %s is left out: the filesystem of the store has no such attributes", key, name))
		} else if err != nil {
			return fmt.Errorf("setting %s of %s: %w", key, name, err)
		}
	}
	return nil
}

// touch gives a name in the current directory the time of n.
func (w *writer) touch(name string, n *Node) error {
	t, err := unix.TimeToTimespec(n.ModTime)
	if err != nil {
		return fmt.Errorf("setting time of %s: %w", name, err)
	}
	return unix.UtimesNanoAt(int(w.top().fd.Fd()), name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
