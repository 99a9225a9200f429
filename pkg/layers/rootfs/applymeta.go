// Owners and attributes of what is unpacked, and the notices of what could not be.

package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// chown gives an open regular file or directory its owner.
func chown(fd int, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	return ownerError(Owner{h.Uid, h.Gid}.Give(fd), h)
}

// lchown gives a file its owner, a link its own.
func (a *Applier) lchown(fd int, base string, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	err := Owner{h.Uid, h.Gid}.GiveAt(fd, base)
	if errors.Is(err, ErrOwnerLost) {
		a.notices.add("owner", "left out the owner of %s: %v", h.Name, err)
		return nil
	}
	return ownerError(err, h)
}

// checkOwner refuses ids that chown would take for "leave it as it is".
func checkOwner(h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || h.Uid >= math.MaxUint32 || h.Gid >= math.MaxUint32 {
		return fmt.Errorf("setting the owner %d:%d: no such ids", h.Uid, h.Gid)
	}
	return nil
}

// ownerError says whose the file was to be, and what to do where this user has no such id.
func ownerError(err error, h *tar.Header) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("setting the owner %d:%d: %w", h.Uid, h.Gid, err)
	if errors.Is(err, unix.EINVAL) {
		return hint.Wrap(err, "the ids are outside of the range that this user may use; add a wider range to /etc/subuid and /etc/subgid")
	}
	return err
}

// setXattrs gives an open file the attributes of its header which mean the same on this machine. Those that the filesystem or the
// namespace refuses are left out, with a notice.
func (a *Applier) setXattrs(fd int, h *tar.Header) error {
	var names []string
	for key := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, codec.PaxXattr); ok && PortableXattr(name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		value := []byte(h.PAXRecords[codec.PaxXattr+name])
		if name == xattrCapability {
			value = capabilityV2(value)
		}
		err := unix.Fsetxattr(fd, name, value, 0)
		if err == unix.ENOTSUP || err == unix.EPERM && name == xattrCapability {
			a.notices.add("xattr", "left out the attribute %s of %s: %v", name, h.Name, err)
		} else if err != nil {
			return fmt.Errorf("setting attribute %s: %w", name, err)
		}
	}
	return nil
}

// notices passes each kind of notice on once.
type notices struct {
	tell func(string)
	seen map[string]bool
}

func newNotices(tell func(string)) *notices { return &notices{tell: tell, seen: map[string]bool{}} }

func (n *notices) add(kind, format string, args ...any) {
	if n.tell != nil && !n.seen[kind] {
		n.seen[kind] = true
		n.tell(fmt.Sprintf(format, args...))
	}
}
