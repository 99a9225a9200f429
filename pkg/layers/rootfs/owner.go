// This file owns whose the files of an image are on this machine, and decides how that is kept: by the kernel, or by marks
// (internal/mark). No other file knows which.

package rootfs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

// Owner is the user and the group that a file belongs to in its image, by number.
type Owner struct{ UID, GID int }

// ErrForeignOwner says that a file that should be this process's own belongs to somebody else on this machine.
var ErrForeignOwner = errors.New("the file belongs to another user")

// ErrOwnerLost says that a file cannot be marked here, and belongs to 0:0 then: links, fifos and sockets can be marked by root
// and by the root of a user namespace only, and some filesystems have no attributes.
var ErrOwnerLost = errors.New("the owner cannot be kept here")

// Kept is the error of giving a file an owner, where it does not matter if that cannot be kept.
func Kept(err error) error {
	if errors.Is(err, ErrOwnerLost) {
		return nil
	}
	return err
}

// Marked says whether all files on disk belong to this process's user, so that owners in the image are marks. So it is where
// this process has one id only: in a user namespace of one, or outside of any as an ordinary user. Otherwise each file belongs
// to who it belongs to in the image. It is decided when it is first asked, and stays.
func Marked() bool { return marked() }

var marked = sync.OnceValue(func() bool {
	users, _ := os.ReadFile("/proc/self/uid_map")
	groups, _ := os.ReadFile("/proc/self/gid_map")
	return !givesOwners(os.Geteuid(), capable(unix.CAP_CHOWN), string(users), string(groups))
})

// Lossy says whether there are files that this process cannot mark, and that programs have no capabilities: as for an ordinary
// user outside of any user namespace.
func Lossy() bool { return Marked() && lossy() }

var lossy = sync.OnceValue(func() bool { return !capable(unix.CAP_SETFCAP) })

// givesOwners says whether a process can give files to other users and groups. The maps are those of its user namespace; a kernel
// without such namespaces has none.
func givesOwners(euid int, chown bool, users, groups string) bool {
	return euid == 0 && chown && severalIDs(users) && severalIDs(groups)
}

// severalIDs says whether a map (see user_namespaces(7)) has more ids than one.
func severalIDs(text string) bool {
	ids := uint64(0)
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 3 {
			n, _ := strconv.ParseUint(fields[2], 10, 32)
			ids += n
		}
	}
	return text == "" || ids > 1
}

// capable says whether this process has a capability of the first 32. Root lacks some in some containers.
func capable(capability int) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) != nil || data[0].Effective&(1<<capability) != 0
}

// Give makes o the owner of an open regular file or directory. Like every change of an owner it comes before the mode and the
// capabilities, which it may drop.
func (o Owner) Give(fd int) error {
	if !Marked() {
		return unix.Fchown(fd, o.UID, o.GID)
	}
	if o == (Owner{}) {
		return unmarked(unix.Fremovexattr(fd, mark.Owner))
	}
	return o.explain(unix.Fsetxattr(fd, mark.Owner, mark.Encode(mark.Owner, uint32(o.UID), uint32(o.GID)), 0))
}

// GiveAt makes o the owner of a name in an open directory, of a link its own. The error may be ErrOwnerLost.
func (o Owner) GiveAt(dir int, base string) error {
	if !Marked() {
		return unix.Fchownat(dir, base, o.UID, o.GID, unix.AT_SYMLINK_NOFOLLOW)
	}
	return o.markAt(fmt.Sprintf("/proc/self/fd/%d/%s", dir, base))
}

// GivePath is GiveAt of a path.
func (o Owner) GivePath(path string) error {
	if !Marked() {
		return os.Lchown(path, o.UID, o.GID)
	}
	return o.markAt(path)
}

// markAt marks a file, of a link itself.
func (o Owner) markAt(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	name := mark.Attribute(st.Mode)
	if o == (Owner{}) {
		err := unix.Lremovexattr(path, name)
		if err == unix.EPERM { // nobody who may not remove a mark could have set it: there is none, or it is older
			_, err = unix.Lgetxattr(path, name, nil)
		}
		return unmarked(err)
	}
	err := unix.Lsetxattr(path, name, mark.Encode(name, uint32(o.UID), uint32(o.GID)), 0)
	if errors.Is(err, unix.EPERM) && name != mark.Owner {
		err = unix.ENOTSUP
	}
	return o.explain(err)
}

// explain says whom a file could not be marked for.
func (o Owner) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOTSUP) {
		err = ErrOwnerLost
	}
	return fmt.Errorf("marking the owner %d:%d: %w", o.UID, o.GID, err)
}

// unmarked is the error of the removal of a mark that need not be there.
func unmarked(err error) error {
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// ownerOf is whom the file at path belongs to in its image. The error is ErrForeignOwner for a file that should be this process's
// own and is not.
func ownerOf(path string, st *unix.Stat_t) (Owner, error) {
	if !Marked() {
		return Owner{int(st.Uid), int(st.Gid)}, nil
	}
	name := mark.Attribute(st.Mode)
	value, err := readMark(path, name)
	uid, gid, _ := mark.Decode(name, value)
	// In a RUN of another gbuild, the kernel's word is the mark already.
	if int(st.Uid) != os.Geteuid() && uid != st.Uid {
		return Owner{}, fmt.Errorf("%d:%d: %w", st.Uid, st.Gid, ErrForeignOwner)
	}
	return Owner{int(uid), int(gid)}, err
}

// readMark reads an attribute of a file, of a link its own; nil where there is none. What is longer than any mark is none.
func readMark(path, name string) ([]byte, error) {
	var value [24]byte
	n, err := unix.Lgetxattr(path, name, value[:])
	switch err {
	case nil:
		return value[:n], nil
	case unix.ENODATA, unix.ENOTSUP, unix.ERANGE:
		return nil, nil
	}
	return nil, fmt.Errorf("reading %s: %w", name, err)
}
