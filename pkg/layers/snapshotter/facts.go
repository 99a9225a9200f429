// This file owns how a change of a file is found: by what the kernel says of it before and after.

package snapshotter

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// fact is what the kernel says of a file. It sets the ctime whenever the file, its attributes or its names change, and no program
// can set that.
type fact struct {
	dev, ino, rdev uint64
	mode, uid, gid uint32
	links          uint32
	size           int64
	mtime, ctime   int64 // in nanoseconds
	made           int64 // the time at which the file was made; 0 where the filesystem does not know
}

func (f fact) isDir() bool { return f.mode&unix.S_IFMT == unix.S_IFDIR }

// sameDir says whether two looks are at one directory.
func (f fact) sameDir(other fact) bool { return f.isDir() && other.isDir() && f.sameFile(other) }

// sameFile says whether two looks are at one file, and not at one that was made in its place, which often gets its number.
func (f fact) sameFile(other fact) bool {
	if f.made != 0 && other.made != 0 {
		return f.made == other.made
	}
	return f.ino == other.ino
}

// factOf looks at a file, of a link at itself.
func factOf(name string) (fact, error) {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
	if err == unix.ENOSYS || err == unix.EPERM { // an old kernel, or a filter
		return plainFact(name)
	}
	f := fact{dev: unix.Mkdev(x.Dev_major, x.Dev_minor), ino: x.Ino, rdev: unix.Mkdev(x.Rdev_major, x.Rdev_minor),
		mode: uint32(x.Mode), uid: x.Uid, gid: x.Gid, links: x.Nlink, size: int64(x.Size), mtime: nanoseconds(x.Mtime), ctime: nanoseconds(x.Ctime)}
	if x.Mask&unix.STATX_BTIME != 0 {
		f.made = nanoseconds(x.Btime)
	}
	return f, err
}

func nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// plainFact is factOf by lstat.
func plainFact(name string) (fact, error) {
	var st unix.Stat_t
	err := unix.Lstat(name, &st)
	return fact{dev: st.Dev, ino: st.Ino, rdev: st.Rdev, mode: st.Mode, uid: st.Uid, gid: st.Gid, links: uint32(st.Nlink), size: st.Size,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}, err
}

// node is a file, and what is in it if it is a directory.
type node struct {
	fact
	names map[string]*node
}

// look finds out the facts of what is at a name of a tree. It calls seen with the time of the last change of each file.
func (c *Copy) look(name string, seen func(ctime int64)) (*node, error) {
	f, err := factOf(c.dir + name)
	if err != nil {
		return nil, err
	}
	seen(f.ctime)
	n := &node{fact: f}
	if !f.isDir() {
		return n, nil
	}
	names, err := c.names(name)
	if err != nil {
		return nil, err
	}
	n.names = make(map[string]*node, len(names))
	for _, base := range names {
		if n.names[base], err = c.look(path.Join(name, base), seen); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// lookAtForeign finds out the facts of the foreign files in the place of a tree.
func (c *Copy) lookAtForeign() (map[string]fact, error) {
	if c.kept == nil || c.kept.top == nil {
		return nil, nil
	}
	theirs := map[string]fact{}
	for name := range c.kept.top.foreign("/") {
		f, err := factOf(c.dir + name)
		if err == nil {
			theirs[name] = f
		} else if !isGone(err) {
			return nil, err
		}
	}
	return theirs, nil
}

// isGone says whether an error is that nothing has that path.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// names lists a directory of a tree, without what is kept.
func (c *Copy) names(name string) ([]string, error) {
	names, err := namesIn(c.dir + name)
	if !c.kept.above(name) {
		return names, err
	}
	return slices.DeleteFunc(names, func(base string) bool { return c.kept.has(path.Join(name, base)) }), err
}

func namesIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
