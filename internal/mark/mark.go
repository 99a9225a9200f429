// This file owns the names and the bytes of marks.

package mark

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The attributes that are marks wherever they are. See Attribute for the last.
const (
	Owner  = "user.gbuild.owner"  // whom a regular file or a directory belongs to
	Node   = "user.gbuild.node"   // which device an empty regular file stands for
	Opaque = "user.gbuild.opaque" // the directory hides what the snapshots below have there
)

const capability = "security.capability"

// IsMark says whether an attribute of a file of that type (the S_IFMT bits of mode) is a mark and not a part of the file.
func IsMark(name string, mode uint32) bool {
	return name == Owner || name == Node || name == Opaque || name == capability && Attribute(mode) == capability
}

// Attribute is the name of the attribute that holds the owner of a file of that type (the S_IFMT bits of mode).
func Attribute(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return Owner
	}
	return capability
}

// capabilityHead begins a value of security.capability: VFS_CAP_REVISION_2 (struct vfs_ns_cap_data in linux/capability.h).
const capabilityHead = 0x02000000

// Encode is the value of the attribute of that name for a file that belongs to uid and gid. 0:0 has none.
func Encode(name string, uid, gid uint32) []byte {
	if name == Owner {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uid), gid)
	}
	value := make([]byte, 20)
	for i, word := range []uint32{capabilityHead, uid, gid} {
		binary.LittleEndian.PutUint32(value[4*i:], word)
	}
	return value
}

// Decode reads a value of the attribute of that name. It is not ok where it is none of Encode's. The kernel gives back a
// capability in its third revision, with the root of a user namespace at the end, to who is not in that namespace.
func Decode(name string, value []byte) (uid, gid uint32, ok bool) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(value[4*i:]) }
	switch {
	case name == Owner && len(value) == 8:
		return word(0), word(1), true
	case name == capability && (len(value) == 20 || len(value) == 24):
		return word(1), word(2), true
	}
	return 0, 0, false
}

// Device is what a Node stands for.
type Device struct {
	Type         uint32 // unix.S_IFCHR or unix.S_IFBLK
	Major, Minor uint32
}

// Encode is the value of Node for the device.
func (d Device) Encode() []byte {
	value := make([]byte, 12)
	for i, word := range []uint32{d.Type, d.Major, d.Minor} {
		binary.LittleEndian.PutUint32(value[4*i:], word)
	}
	return value
}

// DecodeDevice reads a value of Node. It is not ok where it is none of Encode's.
func DecodeDevice(value []byte) (d Device, ok bool) {
	if len(value) != 12 {
		return Device{}, false
	}
	d = Device{binary.LittleEndian.Uint32(value), binary.LittleEndian.Uint32(value[4:]), binary.LittleEndian.Uint32(value[8:])}
	return d, d.Type == unix.S_IFCHR || d.Type == unix.S_IFBLK
}
