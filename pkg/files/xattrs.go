// This file owns extended attributes: which of those of a file belong into an image.

package files

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// xattrsOf reads the attributes of n, which is open as f.
func xattrsOf(n *Node, f *os.File) (map[string][]byte, error) {
	if n.entry != nil {
		return n.Xattrs()
	}
	return fileXattrs(f)
}

// fileXattrs reads the attributes that belong into an image. Those of overlayfs and marks would change what a snapshot means.
func fileXattrs(f *os.File) (map[string][]byte, error) {
	var buf [1024]byte
	n, err := unix.Flistxattr(int(f.Fd()), buf[:])
	list := buf[:max(n, 0)]
	// 64 KiB is the most that Linux has for a list of names (XATTR_LIST_MAX).
	if err == unix.ERANGE {
		list = make([]byte, 64<<10)
		n, err = unix.Flistxattr(int(f.Fd()), list)
		list = list[:max(n, 0)]
	}
	if err == unix.ENOTSUP || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing extended attributes of %s: %w", f.Name(), err)
	}
	found := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		// Other names (security.selinux, system.*) are about this machine.
		if !rootfs.PortableXattr(name) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(int(f.Fd()), name, value)
		if err != nil {
			return nil, fmt.Errorf("reading extended attribute %s of %s: %w", name, f.Name(), err)
		}
		found[name] = slices.Clone(value[:n])
	}
	return found, nil
}
