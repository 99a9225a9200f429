package layers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names of extended attributes. Those of overlayfs say how snapshots are stacked; they never enter or leave in a layer.
const (
	xattrOverlay    = "user.overlay."
	xattrOpaque     = "user.overlay.opaque"
	xattrCapability = "security.capability"
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

// Xattrs returns the extended attributes that belong into an image: file capabilities and user attributes, without those
// of overlayfs.
func (e *Entry) Xattrs() (map[string][]byte, error) { return e.xattrs(nil) }

// xattrs is Xattrs of a file that may be open as f.
func (e *Entry) xattrs(f *os.File) (map[string][]byte, error) {
	if e.Content != nil && (e.IsRegular() || e.IsDir()) {
		found, err := e.Content.Xattrs(f)
		if value, ok := found[xattrCapability]; ok {
			found[xattrCapability] = capabilityV2(value)
		}
		return found, err
	}
	if e.IsSymlink() || e.source == "" {
		return nil, nil // the kernel allows no user attributes on links
	}
	names, err := listXattrs(e.source)
	if err != nil {
		return nil, fmt.Errorf("listing extended attributes of %s: %w", e.Path, err)
	}
	var found map[string][]byte
	for _, name := range names {
		if !portableXattr(name) {
			continue
		}
		value, err := getXattr(e.source, name)
		if err != nil {
			return nil, fmt.Errorf("reading extended attribute %s of %s: %w", name, e.Path, err)
		}
		if name == xattrCapability {
			value = capabilityV2(value)
		}
		if found == nil {
			found = map[string][]byte{}
		}
		found[name] = value
	}
	return found, nil
}

// portableXattr says whether an attribute means the same on another machine.
func portableXattr(name string) bool {
	return name == xattrCapability || strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, xattrOverlay)
}

// capabilityV2 makes a version 3 file capability, which is bound to the user namespace of this machine, the version 2
// that images carry (struct vfs_ns_cap_data in linux/capability.h).
func capabilityV2(value []byte) []byte {
	if len(value) != 24 || value[3] != 3 {
		return value
	}
	v2 := append([]byte(nil), value[:20]...)
	v2[3] = 2
	return v2
}

func listXattrs(path string) ([]string, error) {
	var buf [1024]byte
	n, err := unix.Llistxattr(path, buf[:])
	list := buf[:max(n, 0)]
	if err == unix.ERANGE {
		list = make([]byte, 64<<10) // XATTR_LIST_MAX
		if n, err = unix.Llistxattr(path, list); err == nil {
			list = list[:n]
		}
	}
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), nil
}

func getXattr(path, name string) ([]byte, error) {
	n, err := unix.Lgetxattr(path, name, nil)
	if err != nil || n == 0 {
		return []byte{}, err
	}
	value := make([]byte, n)
	n, err = unix.Lgetxattr(path, name, value)
	if err != nil {
		return nil, err
	}
	return value[:n], nil
}

// isOpaque says whether the directory hides what lies below it.
func isOpaque(dir string) bool {
	var value [4]byte
	n, err := unix.Lgetxattr(dir, xattrOpaque, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// isWhiteout says whether the entry hides its name in the snapshots below.
func (e *Entry) isWhiteout() bool { return e.Type() == unix.S_IFCHR && e.Rdev == 0 }

// lstat returns the entry at path, whose file lies at source.
func lstat(source, path string) (*Entry, error) {
	var st unix.Stat_t
	if err := retryEINTR(func() error { return unix.Lstat(source, &st) }); err != nil {
		return nil, err
	}
	e := &Entry{Name: filepath.Base(path), Path: path, source: source}
	e.fill(&st)
	if e.IsSymlink() {
		link, err := os.Readlink(source)
		if err != nil {
			return nil, err
		}
		e.Link = link
	}
	return e, nil
}

func (e *Entry) fill(st *unix.Stat_t) {
	e.Mode, e.UID, e.GID = st.Mode, int(st.Uid), int(st.Gid)
	e.Size, e.Rdev, e.Ino, e.Dev, e.Nlink = st.Size, st.Rdev, st.Ino, st.Dev, uint64(st.Nlink)
	e.ModTime = time.Unix(st.Mtim.Unix())
}
