// This file owns the place where the root of a sandbox is put together.

package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// bindRoot binds the root to a place of its own. What is mounted in it there goes with it into the container and, in the
// end, away. libcontainer could mount all that, too, but takes many times as long: it looks for each mount point with the
// distrust that an image deserves which a process may be changing. Here none is in it yet.
func bindRoot(dir, root string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir) // libcontainer takes no symbolic links
	own := filepath.Join(dir, "root")
	if err == nil {
		err = os.Mkdir(own, 0o755)
	}
	if err == nil {
		err = unix.Mount(root, own, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err == nil && host.Bare() { // the kernel sees to it where this is the mount of a user namespace
		err = unix.MountSetattr(unix.AT_FDCWD, own, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV})
	}
	if err != nil {
		return "", fmt.Errorf("binding the root of the sandbox: %w", err)
	}
	return own, nil
}

// unbindRoot takes away what is mounted in the root, too; it must come before the mount points are removed.
func unbindRoot(root string) error {
	if err := unix.Unmount(root, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting the root of the sandbox: %w", err)
	}
	return nil
}
