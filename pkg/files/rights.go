// This file owns what is said where a process lacks the rights that files need.

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// ErrNoRights is the error where only a process that has its own user namespace, or root, may do what is to be done. Nothing
// was changed then that it would not find right.
var ErrNoRights = errors.New("the build needs its own user namespace")

// NeedsRights says that a lack of permission, or the owner of a file, is no hindrance in a namespace, where the process is not root
// already.
func NeedsRights(err error) error {
	lacks := errors.Is(err, fs.ErrPermission) || errors.Is(err, rootfs.ErrForeignOwner)
	if !lacks || os.Geteuid() == 0 || errors.Is(err, ErrNoRights) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoRights, err)
}
