// This file owns the copy of one file, whatever it is, and of what files have beside their content.

package filecopy

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Copier copies files that belong together: names of one file among them become names of one copy.
type Copier struct {
	stays  func(attribute string) bool // what of the attributes user.* belongs to where a file lies, and not to the file; may be nil
	whole  atomic.Bool                 // blocks cannot be shared: that was refused
	copies map[inode][]string          // the copies of files that have several names
}

type inode struct{ dev, ino uint64 }

// New makes a Copier. stays says which of the attributes user.* are left behind; nil for none.
func New(stays func(attribute string) bool) *Copier {
	return &Copier{stays: stays, copies: map[inode][]string{}}
}

// File copies what is no directory to target, where nothing is. lstat says st of it. Files with one name may be copied at the same time;
// those with several are copied one after the other.
func (c *Copier) File(from, target string, st *unix.Stat_t) error {
	if st.Nlink < 2 {
		return c.single(from, target, st)
	}
	id := inode{st.Dev, st.Ino}
	for _, name := range c.copies[id] {
		// A name may have been replaced since, and a file has as many names only as the file system allows.
		if unix.Link(name, target) == nil {
			return nil
		}
	}
	if err := c.single(from, target, st); err != nil {
		return err
	}
	c.copies[id] = append(c.copies[id], target)
	return nil
}

// single is File, with no regard to other names of the file.
func (c *Copier) single(from, target string, st *unix.Stat_t) (err error) {
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
	return Metadata(from, target, st, c.stays)
}

// content copies the bytes of a regular file.
func (c *Copier) content(from, target string, st *unix.Stat_t) error {
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
	if !c.whole.Load() {
		if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
			return nil
		}
		c.whole.Store(true)
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

// Metadata gives the file at target what the file at from has, of which lstat said st: owner, attributes but for those that stay (nil:
// all), mode and times.
func Metadata(from, target string, st *unix.Stat_t, stays func(attribute string) bool) error {
	var there unix.Stat_t
	if err := unix.Lstat(target, &there); err != nil {
		return err
	}
	if there.Uid != st.Uid || there.Gid != st.Gid {
		if err := os.Lchown(target, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := copyAttributes(from, target, stays); err != nil {
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
func copyAttributes(from, target string, stays func(attribute string) bool) error {
	wanted, err := Attributes(from, stays)
	if err != nil {
		return err
	}
	there, err := Attributes(target, stays)
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
		value, err := Attribute(from, name)
		if err == nil {
			err = unix.Lsetxattr(target, name, value, 0)
		}
		if err != nil {
			return fmt.Errorf("copying attribute %s: %w", name, err)
		}
	}
	return nil
}
