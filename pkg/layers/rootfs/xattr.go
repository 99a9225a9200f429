// Extended attributes: those that are a part of an image, and those by which overlayfs stacks directories.

package rootfs

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

// Names of extended attributes. Those of overlayfs say how snapshots are stacked; like marks, they never enter or leave in a layer.
const (
	xattrOverlay    = "user.overlay."
	xattrCapability = "security.capability"
)

// Xattrs returns the extended attributes that belong into an image: file capabilities and user attributes, without those
// of overlayfs and the marks of owners.
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
	if e.source == "" || !e.IsRegular() && !e.IsDir() {
		return nil, nil // the kernel allows no user attributes on others, and a capability is a mark there
	}
	names, err := listXattrs(e.source)
	if err != nil {
		return nil, fmt.Errorf("listing extended attributes of %s: %w", e.Path, err)
	}
	var found map[string][]byte
	for _, name := range names {
		if !PortableXattr(name) {
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

// PortableXattr says whether an attribute of a regular file or a directory is a part of it, and means the same on another machine.
func PortableXattr(name string) bool {
	return name == xattrCapability || strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, xattrOverlay) && !mark.IsMark(name, unix.S_IFREG)
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

// listXattrs returns the names of all attributes of a file, which is not followed if it is a link.
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

// getXattr returns the value of an attribute. An empty value is not nil.
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
