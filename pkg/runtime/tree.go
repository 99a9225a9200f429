// This file owns the places inside a root at which something is mounted or made. An image may say anything: every component of a
// path may be a symbolic link, also one that leads out, and another process may be changing what a cache mount shows. So a
// path is walked by descriptors, a name at a time, and never looked up twice.

package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// tree makes mount points and directories inside one root. It goes from name to name through descriptors that pin
// each directory, so that no symbolic link of the image, or of what is mounted in it already, leads out of the root. And
// it remembers what it made: a mount point is not part of what the command changed, and is taken away afterwards.
type tree struct {
	root    *os.File
	covered map[string]cover // the kinds of the mounts on resolved paths
	stubs   stubs            // made, to be taken away
}

// cover says whether a mount is there already, so that the way leads on through it, or will be made by libcontainer.
type cover int

const (
	coverLater cover = iota + 1
	coverThere
)

func openTree(root string) (*tree, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening root %s: %w", root, err)
	}
	return &tree{root: os.NewFile(uintptr(fd), "/"), covered: map[string]cover{}}, nil
}

// cursor is a walk through the tree: the directories from the root to where it stands.
type cursor struct {
	dirs  []*os.File // the root first
	names []string   // the names of dirs, without the root's
	todo  []string   // the rest of the path
	links int        // followed so far
	inner int        // the number of dirs that lie outside of the first mount on the way; 0: all
}

func (c *cursor) dir() *os.File { return c.dirs[len(c.dirs)-1] }
func (c *cursor) path(name string) string {
	return "/" + path.Join(append(slices.Clone(c.names), name)...)
}

// back returns to the directory that n entries lead to.
func (c *cursor) back(n int) {
	for _, f := range c.dirs[n:] {
		f.Close()
	}
	c.dirs, c.names = c.dirs[:n], c.names[:n-1]
	if n <= c.inner {
		c.inner = 0
	}
}

// steps splits a path, leaving out the names that go nowhere.
func steps(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

// spot is a place in the root.
type spot struct {
	path   string   // the path in the root; none of its components is a symbolic link
	at     *os.File // O_PATH; nil where it lies below a mount that is not there yet
	made   bool     // it was missing
	linked bool     // symbolic links led there
}

func (s *spot) close() {
	if s.at != nil {
		s.at.Close()
	}
}

// place finds target in the root, making what is missing. A missing last name becomes an empty file when file is set, all
// others directories. With an owner what is made belongs to it and stays, and nothing is made in a mount, which libcontainer
// does later; without, it is a stub, but for what is made in a mount.
func (t *tree) place(target string, file bool, own *owner) (*spot, error) {
	dup, err := reopen(t.root, ".")
	if err != nil {
		return nil, err
	}
	c := &cursor{dirs: []*os.File{dup}, todo: steps(path.Clean(target))}
	defer func() { c.back(1); dup.Close() }()
	s := &spot{}
	later, err := t.walk(c, s, file, own)
	if err != nil {
		return nil, &os.PathError{Op: "making", Path: target, Err: err}
	}
	if s.linked = c.links > 0; later {
		return s, nil
	}
	s.path = c.path("")
	s.at, err = duplicate(c.dir())
	return s, err
}

// walk goes to the end of c. Where a mount is on the way that is not to be entered, it stops there, and says so.
func (t *tree) walk(c *cursor, s *spot, file bool, own *owner) (later bool, err error) {
	for len(c.todo) > 0 {
		name := c.todo[0]
		c.todo = c.todo[1:]
		if name == ".." {
			c.back(max(1, len(c.dirs)-1))
			continue
		}
		p := c.path(name)
		switch cover := t.covered[p]; {
		case cover == coverLater, cover == coverThere && own != nil:
			s.path = path.Join(append([]string{p}, c.todo...)...)
			return true, nil
		case cover == coverThere && c.inner == 0:
			c.inner = len(c.dirs)
		}
		if s.made, err = t.step(c, name, file, own); err != nil {
			return false, err
		}
	}
	return false, nil
}

// open opens a regular file in the root for reading; symbolic links stay inside. It does not wait for a fifo.
func (t *tree) open(p string) (io.ReadCloser, error) {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(t.root.Fd()), p, how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p, Err: err}
	}
	f := os.NewFile(uintptr(fd), p)
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: p, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// step goes on to name: into a directory, along a symbolic link, or to what it makes there.
func (t *tree) step(c *cursor, name string, file bool, own *owner) (made bool, err error) {
	next, err := reopen(c.dir(), name)
	if errors.Is(err, unix.ENOENT) {
		made = true
		next, err = t.create(c, name, file && len(c.todo) == 0, own)
	}
	if err != nil {
		return false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(next.Fd()), &st); err != nil {
		next.Close()
		return false, err
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK:
		defer next.Close()
		return false, c.follow(next)
	case kind != unix.S_IFDIR && len(c.todo) > 0:
		next.Close()
		return false, unix.ENOTDIR
	}
	c.dirs, c.names = append(c.dirs, next), append(c.names, name)
	return made, nil
}

// follow puts the target of a symbolic link before what is left to do.
func (c *cursor) follow(link *os.File) error {
	if c.links++; c.links > 40 {
		return unix.ELOOP
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(link.Fd()), "", buf)
	if err != nil {
		return err
	}
	to := string(buf[:n])
	if path.IsAbs(to) {
		c.back(1)
	}
	c.todo = append(steps(to), c.todo...)
	return nil
}

// create makes one directory or empty file. The modes are set again because of the umask.
func (t *tree) create(c *cursor, name string, file bool, own *owner) (*os.File, error) {
	dir := int(c.dir().Fd())
	stays := own != nil || c.inner > 0
	if !stays {
		if err := t.stubs.touch(c.dir()); err != nil {
			return nil, err
		}
	}
	mode := uint32(0o755)
	if file {
		mode = 0o644
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err != nil {
			return nil, err
		}
		unix.Close(fd)
	} else if err := unix.Mkdirat(dir, name, mode); err != nil {
		return nil, err
	}
	if err := unix.Fchmodat(dir, name, mode, 0); err != nil {
		return nil, err
	}
	if stays {
		next, err := reopen(c.dir(), name)
		if err == nil && own != nil {
			err = own.give(next)
		}
		return next, err
	}
	next, err := t.stubs.record(c.dir(), name)
	if err != nil {
		flags := unix.AT_REMOVEDIR
		if file {
			flags = 0
		}
		err = errors.Join(err, unix.Unlinkat(dir, name, flags))
	}
	return next, err
}

// close removes the stubs that are still what they were. It must only be called when no process of the sandbox is left.
func (t *tree) close() error {
	err := t.stubs.restore()
	t.root.Close()
	return err
}
