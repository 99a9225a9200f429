// This file owns the calls of the short way: they take a path with its zero as it is, and make no garbage.

package supervisor

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// statAt is stat or lstat.
func statAt(path []byte, follow bool, st *unix.Stat_t) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if follow {
		flags = 0
	}
	dir := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(st)), uintptr(flags), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// listAt is listxattr or llistxattr.
func listAt(path []byte, follow bool, list []byte) (int, error) {
	nr := uintptr(unix.SYS_LLISTXATTR)
	if follow {
		nr = unix.SYS_LISTXATTR
	}
	n, _, errno := unix.Syscall(nr, uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
