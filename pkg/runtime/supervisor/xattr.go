// This file owns attributes: marks are not shown, and only root sets one, which is a chown: a gbuild in a RUN does. It also owns lists of access (acl(5)) for users that the
// kernel does not know here.

package supervisor

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// listing leaves marks out of the names of a file's attributes.
func listing(c *call, dir int32, addr uint64, follow bool, to, size uint64) answer {
	p, ok := c.place(dir, addr, follow, addr == 0)
	if !ok {
		return proceed
	}
	n, err := c.attributes(&p)
	if err != nil || !mayHaveMarks(c.list[:n]) {
		return proceed
	}
	fd, err := c.open(&p)
	if err != nil {
		return proceed
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed(err)
	}
	list := withoutMarks(c.list[:n], st.Mode)
	switch {
	case size == 0:
		return answer(len(list))
	case size < uint64(len(list)):
		return failed(unix.ERANGE)
	}
	if err := c.write(to, list); err != nil {
		return failed(err)
	}
	return answer(len(list))
}

// maxName is the longest name of an attribute (XATTR_NAME_MAX), with the zero at its end.
const maxName = 256

// setting sets an attribute.
func setting(c *call, dir int32, addr uint64, follow bool) answer {
	who, begun := c.credentials()
	var buffer [maxName]byte
	n, err := c.readString(c.args[1], buffer[:])
	if !begun || err != nil {
		return proceed
	}
	name := string(buffer[:n])
	switch {
	case (strings.HasPrefix(name, "user.gbuild.") || strings.HasPrefix(name, "security.")) && !who.privileged():
		return failed(unix.EPERM)
	case name == "system.posix_acl_access" || name == "system.posix_acl_default":
		return c.setACL(dir, addr, follow, name)
	}
	return proceed
}

// removing removes an attribute, which is a mark for root only.
func removing(c *call) answer {
	var buffer [maxName]byte
	if who, begun := c.credentials(); !begun || who.privileged() {
		return proceed
	}
	if n, err := c.readString(c.args[1], buffer[:]); err == nil && strings.HasPrefix(string(buffer[:n]), "user.gbuild.") {
		return failed(unix.ENODATA)
	}
	return proceed
}

// The tags of entries of a list of access that name somebody, and of those that are bits of the mode.
const (
	aclOwner, aclUser, aclOwnersGroup, aclGroup, aclMask, aclOther = 1, 2, 4, 8, 16, 32
)

// setACL sets a list of access. The kernel takes no entry for a user that it does not know here. No layer holds such lists,
// so what is kept of one with such users is what it makes of the mode.
func (c *call) setACL(dir int32, addr uint64, follow bool, name string) answer {
	size := c.args[3]
	if size > 1<<16 {
		return proceed
	}
	list := make([]byte, size)
	if c.read(c.args[2], list) != nil {
		return proceed
	}
	bits, strangers := readACL(list)
	p, ok := c.place(dir, addr, follow, addr == 0)
	if !strangers || !ok {
		return proceed
	}
	if name == "system.posix_acl_default" {
		return 0
	}
	fd, err := c.open(&p)
	if err != nil {
		return proceed
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed(err)
	}
	if err := unix.Fchmodat(unix.AT_FDCWD, self(fd), st.Mode&07000|bits, 0); err != nil {
		return failed(err)
	}
	return 0
}

// readACL finds what a list of access makes of the mode of a file, and whether it names others than root.
func readACL(list []byte) (bits uint32, strangers bool) {
	var group, mask uint32
	hasMask := false
	for i := 4; i+8 <= len(list); i += 8 {
		tag, rights := binary.LittleEndian.Uint16(list[i:]), uint32(binary.LittleEndian.Uint16(list[i+2:]))&7
		switch tag {
		case aclOwner:
			bits |= rights << 6
		case aclOwnersGroup:
			group = rights
		case aclMask:
			mask, hasMask = rights, true
		case aclOther:
			bits |= rights
		case aclUser, aclGroup:
			strangers = strangers || binary.LittleEndian.Uint32(list[i+4:]) != 0
		}
	}
	if hasMask {
		group = mask
	}
	return bits | group<<3, strangers
}
