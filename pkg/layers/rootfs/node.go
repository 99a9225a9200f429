// This file owns fifos and devices, as they are on disk. A device that cannot be made here, which only the root of the machine can
// do, is an empty file with a mark.

package rootfs

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

// isDevice says whether a file of that type (the S_IFMT bits of mode) is a device.
func isDevice(mode uint32) bool {
	return mode&unix.S_IFMT == unix.S_IFCHR || mode&unix.S_IFMT == unix.S_IFBLK
}

// isWhiteout says whether a file hides its name in what is below.
func isWhiteout(mode uint32, rdev uint64) bool { return mode&unix.S_IFMT == unix.S_IFCHR && rdev == 0 }

// MakeNode makes a fifo or a device, which its maker alone can use until it has its owner and its mode.
func MakeNode(dir int, base string, mode uint32, rdev uint64) error {
	kind := mode & unix.S_IFMT
	if !isDevice(kind) || isWhiteout(kind, rdev) {
		return unix.Mknodat(dir, base, kind|0o600, int(rdev))
	}
	if !Marked() {
		if err := unix.Mknodat(dir, base, kind|0o600, int(rdev)); err != unix.EPERM {
			return err
		}
	}
	return markNode(dir, base, mark.Device{Type: kind, Major: unix.Major(rdev), Minor: unix.Minor(rdev)})
}

// markNode makes the empty file that stands for a device.
func markNode(dir int, base string, d mark.Device) error {
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	return unix.Fsetxattr(fd, mark.Node, d.Encode(), 0)
}

// deviceOf is which device the empty file at path stands for.
func deviceOf(path string) (kind uint32, rdev uint64, ok bool, err error) {
	value, err := readMark(path, mark.Node)
	d, ok := mark.DecodeDevice(value)
	return d.Type, unix.Mkdev(d.Major, d.Minor), ok, err
}
