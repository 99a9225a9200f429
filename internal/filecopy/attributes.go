// This file owns the reading of extended attributes that belong to a file wherever it lies.

package filecopy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Attributes lists the names of a file's attributes which belong to it wherever it lies: user.*, but for those that stay where the file
// is (nil: none), capabilities and lists of access rights. The path is not followed.
func Attributes(name string, stays func(attribute string) bool) ([]string, error) {
	list, err := whole(func(buf []byte) (int, error) { return unix.Llistxattr(name, buf) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing attributes: %w", err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), func(a string) bool {
		belongs := strings.HasPrefix(a, "user.") || a == "security.capability" || strings.HasPrefix(a, "system.posix_acl_")
		return !belongs || stays != nil && stays(a)
	}), nil
}

// Attribute is the value of one.
func Attribute(of, name string) ([]byte, error) {
	return whole(func(buf []byte) (int, error) { return unix.Lgetxattr(of, name, buf) })
}

// whole calls read with a buffer that is large enough. Most values are small.
func whole(read func([]byte) (int, error)) ([]byte, error) {
	small := make([]byte, 256)
	n, err := read(small)
	if !errors.Is(err, unix.ERANGE) {
		return small[:max(n, 0)], err
	}
	large := make([]byte, 64<<10) // XATTR_LIST_MAX, XATTR_SIZE_MAX
	n, err = read(large)
	return large[:max(n, 0)], err
}
