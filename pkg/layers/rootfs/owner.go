// This file owns whose the files of an image are on this machine: the only place where ids are shifted.

package rootfs

import (
	"errors"
	"fmt"
	"os"
)

// Owner is the user and the group that a file belongs to, by number.
type Owner struct{ UID, GID int }

// ErrForeignOwner says that a file belongs to an id that only a namespace of the build can name.
var ErrForeignOwner = errors.New("the file belongs to another user")

// SeesOwners says whether files belong to the ids on this machine that they belong to in their image: so it is in a
// namespace of the build, and for root. Outside of one, an ordinary user is the root of the image, and there is nobody else.
func SeesOwners() bool { return os.Geteuid() == 0 }

// OnHost is who a file of an image that belongs to o is given to on this machine. The error is ErrForeignOwner.
func (o Owner) OnHost() (Owner, error) {
	if SeesOwners() {
		return o, nil
	}
	if o != (Owner{}) {
		return o, fmt.Errorf("%d:%d: %w", o.UID, o.GID, ErrForeignOwner)
	}
	return ours(), nil
}

// InImage is who in the image has a file that belongs to o on this machine. The error is ErrForeignOwner.
func (o Owner) InImage() (Owner, error) {
	if SeesOwners() {
		return o, nil
	}
	return o.asRoot()
}

// asRoot is the root of an image, if o is this process's own user.
func (o Owner) asRoot() (Owner, error) {
	if o != ours() {
		return o, fmt.Errorf("%d:%d: %w", o.UID, o.GID, ErrForeignOwner)
	}
	return Owner{}, nil
}

// ours is who a file belongs to that this process makes.
func ours() Owner { return Owner{os.Geteuid(), os.Getegid()} }
