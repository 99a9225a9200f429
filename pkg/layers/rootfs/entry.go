// Entry, the one type for a name in a tree and its metadata.

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is one name in a tree, as lstat shows it.
type Entry struct {
	// Name is the last element of Path, "/" for the root. Path is absolute and clean, within the root of the View.
	Name, Path string
	// Mode has the type (unix.S_IFMT) and the permissions with setuid, setgid and sticky, as in st_mode.
	Mode     uint32
	UID, GID int
	Size     int64
	ModTime  time.Time
	// Link is the target of a symbolic link.
	Link string
	// Rdev is the device of a device node. Ino and Dev name the inode, Nlink counts its names in its snapshot.
	Rdev            uint64
	Ino, Dev, Nlink uint64
	// Content is where a regular file or a directory is read that is in no snapshot; else nil.
	Content Content

	// implied says that the directory has no metadata of its own: that of the one below counts, if there is one.
	implied bool
	// source is the path on disk of the file, "" for one that is in no directory.
	source string
}

// Content reads a file that lies outside of the store.
type Content interface {
	// Open opens a regular file.
	Open() (*os.File, error)
	// Xattrs returns the attributes of a regular file or a directory. A regular file may be open as f, else f is nil.
	Xattrs(f *os.File) (map[string][]byte, error)
	// Unchanged fails if the file, which is open as f, is not what it was when its Entry was made.
	Unchanged(f *os.File) error
}

// Source returns the path on disk of the file that holds this entry.
func (e *Entry) Source() string { return e.source }

// Type returns the type bits of Mode.
func (e *Entry) Type() uint32 { return e.Mode & unix.S_IFMT }

// IsDir says whether the entry is a directory.
func (e *Entry) IsDir() bool { return e.Type() == unix.S_IFDIR }

// IsRegular says whether the entry is a regular file.
func (e *Entry) IsRegular() bool { return e.Type() == unix.S_IFREG }

// IsSymlink says whether the entry is a symbolic link.
func (e *Entry) IsSymlink() bool { return e.Type() == unix.S_IFLNK }

// Target returns the target of a symbolic link.
func (e *Entry) Target() string { return e.Link }

// IsWhiteout says whether the entry hides its name in the snapshots below.
func (e *Entry) IsWhiteout() bool { return isWhiteout(e.Mode, e.Rdev) }

// Lstat returns the entry at path, whose file lies at source, with the owner that it has in its image. The error is
// ErrForeignOwner where it should be this process's own file, and is not.
func Lstat(source, path string) (*Entry, error) {
	var st unix.Stat_t
	err := unix.Lstat(source, &st)
	for err == unix.EINTR {
		err = unix.Lstat(source, &st)
	}
	if err != nil {
		return nil, err
	}
	e := &Entry{Name: filepath.Base(path), Path: path, source: source}
	if err := e.fill(&st); err != nil {
		return nil, fmt.Errorf("looking at %s: %w", path, err)
	}
	if e.IsSymlink() {
		link, err := os.Readlink(source)
		if err != nil {
			return nil, err
		}
		e.Link = link
	}
	return e, nil
}

// fill takes over what stat says, and what marks do. A device may be an empty file wherever it could not be made.
func (e *Entry) fill(st *unix.Stat_t) error {
	e.Mode, e.Size, e.Rdev, e.Ino, e.Dev, e.Nlink = st.Mode, st.Size, st.Rdev, st.Ino, st.Dev, uint64(st.Nlink) //nolint:unconvert // It is a uint32 on arm64.
	e.ModTime = time.Unix(st.Mtim.Unix())
	if e.IsWhiteout() {
		return nil
	}
	owner, err := ownerOf(e.source, st)
	if e.UID, e.GID = owner.UID, owner.GID; err != nil || !e.IsRegular() || e.Size > 0 {
		return err
	}
	kind, rdev, ok, err := deviceOf(e.source)
	if ok {
		e.Mode, e.Rdev = kind|e.Mode&0o7777, rdev
	}
	return err
}

// Open opens the file of an entry, which must be a regular one, for reading. It fails if the file is another one by now.
func (e *Entry) Open() (*os.File, error) {
	if !e.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: e.Path, Err: errors.New("not a regular file")}
	}
	if e.Content != nil {
		return e.Content.Open()
	}
	f, err := os.OpenFile(e.source, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Ino != e.Ino || st.Dev != e.Dev {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: e.Path, Err: errors.New("the file changed while it was read")}
	}
	return f, nil
}

// Owner is whom the file belongs to in its image.
func (e *Entry) Owner() Owner { return Owner{e.UID, e.GID} }
