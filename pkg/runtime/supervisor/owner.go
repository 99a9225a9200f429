// This file owns the marks of files: how they are read and written where a file is open by its descriptor only.

package supervisor

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

// owner is whom a file belongs to in the image.
type owner struct{ uid, gid uint32 }

// self is the path of a descriptor of this process, from the /proc that is the working directory of each thread here. Unlike the
// descriptor itself it can be given to all calls, those about attributes among them, which then mean the very file.
func self(fd int) string { return "self/fd/" + strconv.Itoa(fd) }

// ownerOf reads the mark of a file of that mode.
func ownerOf(fd int, mode uint32) owner {
	var value [64]byte
	name := mark.Attribute(mode)
	n, err := unix.Getxattr(self(fd), name, value[:])
	if err != nil {
		return owner{}
	}
	uid, gid, _ := mark.Decode(name, value[:n])
	return owner{uid, gid}
}

// setOwner writes the mark of a file of that mode. A file system that holds no marks is none of those that an image lies on, and
// whom its files belong to is nobody's concern after the run.
func setOwner(fd int, mode uint32, o owner) error {
	name := mark.Attribute(mode)
	var err error
	if o == (owner{}) {
		err = unix.Removexattr(self(fd), name)
	} else {
		err = unix.Setxattr(self(fd), name, mark.Encode(name, o.uid, o.gid), 0)
	}
	switch err {
	case unix.ENODATA, unix.EOPNOTSUPP, unix.EPERM:
		return nil
	}
	return err
}

// deviceOf is the device that a file stands for.
func deviceOf(fd int, mode uint32, size int64) (d mark.Device, ok bool) {
	if mode&unix.S_IFMT != unix.S_IFREG || size != 0 {
		return d, false
	}
	var value [32]byte
	n, err := unix.Getxattr(self(fd), mark.Node, value[:])
	if err != nil {
		return d, false
	}
	return mark.DecodeDevice(value[:n])
}

// markNames are parts of the names of all attributes that may be marks.
var markNames = [][]byte{[]byte("user.gbuild."), []byte("security.capability\x00")}

// mayHaveMarks says whether one of the names in a list of attributes may be a mark.
func mayHaveMarks(list []byte) bool {
	return bytes.Contains(list, markNames[0]) || bytes.Contains(list, markNames[1])
}

// withoutMarks leaves the names of marks out of a list of attributes.
func withoutMarks(list []byte, mode uint32) []byte {
	var out []byte
	for name := range bytes.SplitAfterSeq(list, []byte{0}) {
		if len(name) > 0 && !mark.IsMark(string(name[:len(name)-1]), mode) {
			out = append(out, name...)
		}
	}
	return out
}
