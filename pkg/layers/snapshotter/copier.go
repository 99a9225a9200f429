// This file owns the copying of files as they lie on disk: content, owner, attributes (marks too), mode, times, and which names are
// one file. Where the file system can, the copy shares its blocks with the original until one of them is written to.
//
// A hard link would be cheaper than a copy, and is never made: a command that writes into the file would change the snapshot.

package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// copier copies files of one view into one directory.
type copier struct {
	ctx    context.Context
	view   *rootfs.View
	to     string
	kept   *Kept
	shares bool               // files may share blocks; false when that was refused
	names  map[inode][]string // the copies of files that have several names
}

type inode struct{ dev, ino uint64 }

func newCopier(ctx context.Context, v *rootfs.View, to string, kept *Kept) *copier {
	return &copier{ctx: ctx, view: v, to: to, kept: kept, shares: true, names: map[inode][]string{}}
}

// tree copies the directory at name, with all that is in it. A directory that is there is filled.
func (c *copier) tree(e *rootfs.Entry) error {
	if err := c.ctx.Err(); err != nil {
		return context.Cause(c.ctx)
	}
	target := c.to + e.Path
	if err := os.Mkdir(target, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for child, err := range c.view.Entries(e.Path) {
		switch {
		case err != nil:
		case !c.kept.has(child.Path):
			err = c.entry(child)
		}
		if err != nil {
			return err
		}
	}
	return c.metadata(e)
}

// entry copies what is at a name, to where nothing is, or a directory that is kept.
func (c *copier) entry(e *rootfs.Entry) error {
	if e.IsDir() {
		return c.tree(e)
	}
	return c.file(e)
}

// metadata gives a copy what the original has beside its content. A view of nothing has a root that is nowhere.
func (c *copier) metadata(e *rootfs.Entry) error {
	if e.Source() == "" {
		return unix.Chmod(c.to+e.Path, e.Mode&0o7777)
	}
	var st unix.Stat_t
	if err := unix.Lstat(e.Source(), &st); err != nil {
		return err
	}
	return copyMetadata(e.Source(), c.to+e.Path, &st)
}

// file copies what is no directory, to where nothing is.
func (c *copier) file(e *rootfs.Entry) error {
	from, target := e.Source(), c.to+e.Path
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return err
	}
	id := inode{st.Dev, st.Ino}
	if st.Nlink > 1 {
		for _, name := range c.names[id] {
			// A name may have been replaced since, and a file has as many names only as the file system allows.
			if unix.Link(name, target) == nil {
				return nil
			}
		}
	}
	if err := c.make(from, target, &st); err != nil {
		return fmt.Errorf("copying %s: %w", e.Path, err)
	}
	if st.Nlink > 1 {
		c.names[id] = append(c.names[id], target)
	}
	return nil
}

// make makes a copy of the file from, of which lstat says st.
func (c *copier) make(from, target string, st *unix.Stat_t) (err error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = c.content(from, target, st)
	case unix.S_IFLNK:
		var to string
		if to, err = os.Readlink(from); err == nil {
			err = os.Symlink(to, target)
		}
	default:
		err = unix.Mknod(target, st.Mode&unix.S_IFMT|0o600, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	return copyMetadata(from, target, st)
}

// content copies the bytes of a regular file.
func (c *copier) content(from, target string, st *unix.Stat_t) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if st.Size == 0 {
		return nil
	}
	if c.shares {
		if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
			return nil
		}
		c.shares = false
	}
	if st.Blocks*512 < st.Size {
		return copySparse(out, in, st.Size)
	}
	_, err = io.Copy(out, in)
	return err
}

// copySparse copies a file that has holes.
func copySparse(out, in *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO { // the rest is a hole
			break
		}
		end := size
		if err == nil {
			end, err = unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		}
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, data), io.NewSectionReader(in, data, end-data)); err != nil {
			return err
		}
		at = end
	}
	return out.Truncate(size)
}

// copyMetadata gives the file at target what the file at from has, of which lstat said st: owner, attributes, mode and times.
func copyMetadata(from, target string, st *unix.Stat_t) error {
	var there unix.Stat_t
	if err := unix.Lstat(target, &there); err != nil {
		return err
	}
	if there.Uid != st.Uid || there.Gid != st.Gid {
		if err := os.Lchown(target, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := copyAttributes(from, target); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(target, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, target, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// copyAttributes gives target the extended attributes of from that belong to a file, and no others of that kind.
func copyAttributes(from, target string) error {
	wanted, err := attributes(from)
	if err != nil {
		return err
	}
	there, err := attributes(target)
	if err != nil {
		return err
	}
	for _, name := range there {
		if !slices.Contains(wanted, name) {
			if err := unix.Lremovexattr(target, name); err != nil {
				return fmt.Errorf("removing attribute %s: %w", name, err)
			}
		}
	}
	for _, name := range wanted {
		value, err := attribute(from, name)
		if err == nil {
			err = unix.Lsetxattr(target, name, value, 0)
		}
		if err != nil {
			return fmt.Errorf("copying attribute %s: %w", name, err)
		}
	}
	return nil
}

// attributes are the names of a file's attributes which belong to it wherever it lies. Those by which directories are stacked do not.
func attributes(name string) ([]string, error) {
	list, err := whole(func(buf []byte) (int, error) { return unix.Llistxattr(name, buf) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing attributes: %w", err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), func(name string) bool {
		belongs := strings.HasPrefix(name, "user.") || name == "security.capability" || strings.HasPrefix(name, "system.posix_acl_")
		return !belongs || rootfs.Stacks(name)
	}), nil
}

// attribute is the value of one.
func attribute(of, name string) ([]byte, error) {
	return whole(func(buf []byte) (int, error) { return unix.Lgetxattr(of, name, buf) })
}

// whole calls read with a buffer that is large enough. Most values are small.
func whole(read func([]byte) (int, error)) ([]byte, error) {
	small := make([]byte, 256)
	n, err := read(small)
	if !errors.Is(err, unix.ERANGE) {
		return small[:max(n, 0)], err
	}
	large := make([]byte, 64<<10) // XATTR_LIST_MAX, XATTR_SIZE_MAX
	n, err = read(large)
	return large[:max(n, 0)], err
}

// RemoveAll removes a tree. A directory that keeps its owner from writing to it keeps root from nothing, but an ordinary user.
func RemoveAll(name string) error {
	err := os.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(os.DirFS(path.Dir(name)), path.Base(name), func(inside string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = makeWritable(path.Join(path.Dir(name), inside))
		}
		return nil
	})
	return os.RemoveAll(name)
}

// makeWritable lets an ordinary user write into a directory of his own. The mode that it is to have is set later.
func makeWritable(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if os.Geteuid() == 0 || st.Mode&0o700 == 0o700 {
		return nil
	}
	return unix.Chmod(dir, st.Mode&0o7777|0o700)
}
