// This file owns what hides files of the snapshots below: whiteouts, which hide one name, and opaque directories. Both are made in the
// form that the kernel's overlay reads. Where a file system refuses that, as an overlay or a FUSE does, they are marks
// (internal/mark), which only our views read: the kernel's overlay cannot have such a file system for its upper directory.

package rootfs

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

// opaqueOverlay is the attribute by which overlayfs knows an opaque directory.
const opaqueOverlay = xattrOverlay + "opaque"

// Stacks says whether an attribute of that name says how directories are stacked, and is no part of a file.
func Stacks(name string) bool { return strings.HasPrefix(name, xattrOverlay) || name == mark.Opaque }

// IsOpaque says whether the directory on disk hides what lies below it.
func IsOpaque(dir string) bool { return saysYes(dir, opaqueOverlay) || saysYes(dir, mark.Opaque) }

func saysYes(dir, name string) bool {
	var value [4]byte
	n, err := unix.Lgetxattr(dir, name, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// SetOpaque marks the directory at path: it hides what the snapshots below have there.
func SetOpaque(path string) error { return SetOpaqueAt(unix.AT_FDCWD, path) }

// SetOpaqueAt is SetOpaque of a name in an open directory. An overlay below another one may take the attribute and keep it from us.
func SetOpaqueAt(fd int, base string) error {
	dir, err := unix.Openat(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	err = unix.Fsetxattr(dir, opaqueOverlay, []byte("y"), 0)
	if err == nil && saysYes(fmt.Sprintf("/proc/self/fd/%d/.", dir), opaqueOverlay) {
		return nil
	}
	return unix.Fsetxattr(dir, mark.Opaque, []byte("y"), 0)
}

// Hide makes a whiteout at a path, where nothing is.
func Hide(at string) error {
	dir, err := unix.Open(path.Dir(at), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return whiteoutAt(dir, path.Base(at))
}

// magicFuse is the type of filesystems in user space, as statfs(2) says it.
const magicFuse = 0x65735546

// whiteoutAt makes a whiteout in an open directory. One in user space may be an overlay itself, and take the device for a whiteout of
// its own: then the name could neither be looked at nor used again.
func whiteoutAt(fd int, base string) error {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil || st.Type != magicFuse {
		err := unix.Mknodat(fd, base, unix.S_IFCHR, 0)
		if err == nil || err == unix.EEXIST {
			return err
		}
	}
	return markNode(fd, base, mark.Device{Type: unix.S_IFCHR})
}

// isWhiteoutAt is Entry.IsWhiteout of a name in an open directory, of which stat says st.
func isWhiteoutAt(fd int, base string, st *unix.Stat_t) bool {
	if isWhiteout(st.Mode, st.Rdev) {
		return true
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > 0 {
		return false
	}
	kind, rdev, ok, err := deviceOf(fmt.Sprintf("/proc/self/fd/%d/%s", fd, base))
	return err == nil && ok && isWhiteout(kind, rdev)
}
