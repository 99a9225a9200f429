// This file owns what is different for a process in a chroot: it can have no user namespace, and what it mounts would be seen outside,
// as it cannot name the mount that its root lies in.

package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/procfs"
)

// chrooted says whether the root of this process is not that of its mounts. The first process tells where it may be looked at;
// else it shows in that no line of the mounts is about "/".
func chrooted() bool {
	var here, first unix.Stat_t
	if unix.Stat("/", &here) == nil && unix.Stat("/proc/1/root", &first) == nil {
		return here.Dev != first.Dev || here.Ino != first.Ino
	}
	mounts := ReadSetting("/proc/self/mountinfo")
	if mounts == "" {
		return false
	}
	for m := range procfs.Mounts(mounts) {
		if m.Point == "/" {
			return false
		}
	}
	return true
}

// separateMounts keeps mounts that are made here from reaching the host, while what the host mounts later (a USB disk, autofs)
// still arrives.
func separateMounts() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
	if errors.Is(err, unix.EINVAL) && chrooted() { // "/" is no mount
		return leaveChroot()
	}
	return err
}

// leaveChroot does what separateMounts does from the root of the mounts of this process, which are its own already, and makes the
// root of the chroot a mount, as pivot_root(2) wants it. Root may go there: a working directory that does not lie below the root
// can be moved up without end.
func leaveChroot() error {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	for _, step := range []func() error{
		func() error { return unix.Chroot("/proc") }, // it is below the root
		func() error { return unix.Fchdir(root) },
		climb,
		func() error { return unix.Mount("", ".", "", unix.MS_REC|unix.MS_SLAVE, "") },
		func() error { return mountRoot(root) },
		func() error { return os.Chdir(dir) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("leaving the chroot: %w", err)
		}
	}
	return nil
}

// climb goes up as far as it goes.
func climb() error {
	for {
		var here, above unix.Stat_t
		if err := errors.Join(unix.Stat(".", &here), unix.Stat("..", &above)); err != nil {
			return err
		}
		if here.Dev == above.Dev && here.Ino == above.Ino {
			return nil
		}
		if err := unix.Chdir(".."); err != nil {
			return err
		}
	}
}

// mountRoot mounts a directory on itself and makes that the root.
func mountRoot(dir int) error {
	tree, err := unix.OpenTree(dir, "", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", dir, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return err
	}
	if err := unix.Fchdir(tree); err != nil {
		return err
	}
	return unix.Chroot(".")
}
