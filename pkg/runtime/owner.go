// This file owns how a directory that this process makes for a sandbox is given to a user of it.

package runtime

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// owner is who outside owns a directory.
type owner struct{ uid, gid int }

// give gives a directory away. Where the kernel knows but one user, the directory gets the mark that is read by whoever answers the
// calls of the sandbox; one on a file system that holds no marks is everybody's.
func (o owner) give(dir *os.File) error {
	if !host.SingleID() {
		return unix.Fchownat(int(dir.Fd()), "", o.uid, o.gid, unix.AT_EMPTY_PATH)
	}
	if o == (owner{}) {
		return nil
	}
	err := unix.Setxattr(procPath(dir), mark.Owner, mark.Encode(mark.Owner, uint32(o.uid), uint32(o.gid)), 0)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// option words it for the mount of a file system in memory.
func (o owner) option() string {
	if host.SingleID() {
		return "uid=0,gid=0"
	}
	return fmt.Sprintf("uid=%d,gid=%d", o.uid, o.gid)
}
