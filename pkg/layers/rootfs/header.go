// The header of an entry in a tar: the one place that writes one.

package rootfs

import (
	"archive/tar"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// Header returns the header of the entry in the tar of a layer, without its attributes (see SetXattrs). The root directory is
// "./". An entry of a type that no tar has, such as a socket, is an error.
func (e *Entry) Header() (*tar.Header, error) {
	h := &tar.Header{Name: strings.TrimPrefix(e.Path, "/"), Mode: int64(e.Mode & 0o7777), Uid: e.UID, Gid: e.GID,
		ModTime: e.ModTime, Linkname: e.Link}
	switch e.Type() {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	case unix.S_IFDIR:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
		if h.Name == "/" {
			h.Name = "./"
		}
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if e.Type() == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(e.Rdev)), int64(unix.Minor(e.Rdev))
	default:
		return nil, fmt.Errorf("unknown file type %o", e.Type())
	}
	return h, nil
}

// SetXattrs gives a header extended attributes.
func SetXattrs(h *tar.Header, xattrs map[string][]byte) {
	for name, value := range xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[codec.PaxXattr+name] = string(value)
	}
}
