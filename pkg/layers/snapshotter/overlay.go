// This file owns overlay mounts of the kernel. Nothing else in gbuild mounts overlays.

package snapshotter

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
)

const maxLowers = 500 // OVL_MAX_STACK of the kernel

// ErrTooDeep says that a state stands on more snapshots than an overlay mount can have.
var ErrTooDeep = errors.New("an overlay mount has at most 500 layers")

// ShowOverlay mounts an overlay of the directories lowers, the uppermost first, below upper, and returns where. What it needs besides lies
// in dir, which is on the filesystem of upper.
func ShowOverlay(dir string, lowers []string, upper string) (root string, err error) {
	root = dir + "/root"
	if len(lowers) > maxLowers {
		return "", hint.Wrap(ErrTooDeep, "start from a base image with fewer layers")
	}
	// A work directory of a volatile mount refuses a second one.
	if err := os.RemoveAll(dir + "/work"); err != nil {
		return "", err
	}
	for _, made := range []string{dir + "/work", dir + "/empty", root} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return "", err
		}
	}
	levels := len(lowers) + 1
	if len(lowers) == 0 {
		lowers = []string{dir + "/empty"} // overlayfs wants at least one
	}
	if err := MountOverlay(root, lowers, upper, dir+"/work"); err != nil {
		return "", fmt.Errorf("%d layers: %w", levels, err)
	}
	return root, nil
}

// Unmount ends what ShowOverlay began.
func Unmount(root string) error {
	err := unix.Unmount(root, unix.UMOUNT_NOFOLLOW)
	if err != nil {
		// Something in it is still open. It goes away by itself when that is closed, but its files may change until then.
		err = unix.Unmount(root, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil {
		return fmt.Errorf("unmounting a draft: %w", err)
	}
	return nil
}

// MountOverlay shows the directories lowers, the uppermost first, below upper at target, until it is unmounted. work is an
// empty directory beside upper.
func MountOverlay(target string, lowers []string, upper, work string) error {
	o := overlay{lowers: lowers, upper: upper, work: work}
	return o.mount(target)
}

type overlay struct {
	lowers      []string // the uppermost first
	upper, work string
}

// mount hands the kernel every directory as /proc/self/fd/N: no length limit and no special character matters then.
func (o *overlay) mount(target string) error {
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	name := func(dir string) (string, error) {
		f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return "", err
		}
		files = append(files, f)
		return fmt.Sprintf("/proc/self/fd/%d", f.Fd()), nil
	}
	short := overlay{}
	for _, dir := range o.lowers {
		n, err := name(dir)
		if err != nil {
			return err
		}
		short.lowers = append(short.lowers, n)
	}
	var err error
	if short.upper, err = name(o.upper); err != nil {
		return err
	}
	if short.work, err = name(o.work); err != nil {
		return err
	}
	if err = short.mountNew(target); errors.Is(err, errOldKernel) {
		err = short.mountOld(target)
	}
	return err
}

var errOldKernel = errors.New("the kernel lacks the new mount interface for overlays")

// mountNew uses fsconfig(2), which takes one lower directory at a time (Linux 6.7).
func (o *overlay) mountNew(target string) error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err == unix.ENOSYS || err == unix.EPERM {
		return fmt.Errorf("%w: %w", errOldKernel, err)
	}
	if err != nil {
		return fmt.Errorf("opening the overlay filesystem: %w", err)
	}
	defer unix.Close(fd)
	for i, dir := range o.lowers {
		if err := unix.FsconfigSetString(fd, "lowerdir+", dir); err != nil && i == 0 {
			return fmt.Errorf("%w: %w", errOldKernel, err)
		} else if err != nil {
			return fmt.Errorf("adding lower directory %d: %w", i, kernelLog(fd, err))
		}
	}
	for _, option := range [][2]string{{"source", "overlay"}, {"upperdir", o.upper}, {"workdir", o.work}} {
		if err := unix.FsconfigSetString(fd, option[0], option[1]); err != nil {
			return fmt.Errorf("setting %s: %w", option[0], kernelLog(fd, err))
		}
	}
	for _, flag := range []string{"userxattr", "volatile"} {
		if err := unix.FsconfigSetFlag(fd, flag); err != nil {
			return fmt.Errorf("setting %s: %w", flag, kernelLog(fd, err))
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return fmt.Errorf("making the overlay: %w", kernelLog(fd, err))
	}
	tree, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making the overlay: %w", kernelLog(fd, err))
	}
	defer unix.Close(tree)
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mountOld uses mount(2), whose options must fit into a page: about 200 layers.
func (o *overlay) mountOld(target string) error {
	options := "userxattr,volatile,upperdir=" + o.upper + ",workdir=" + o.work + ",lowerdir=" + strings.Join(o.lowers, ":")
	if len(options) >= os.Getpagesize() {
		return hint.Errorf("Linux 6.7 and later can mount 500", "this kernel cannot mount %d layers", len(o.lowers))
	}
	return unix.Mount("overlay", target, "overlay", 0, options)
}

// kernelLog adds what the kernel says about a failed fsconfig call, which is far more than its errno.
func kernelLog(fd int, err error) error {
	var said [1024]byte
	n, readErr := unix.Read(fd, said[:])
	if readErr != nil || n <= 2 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.TrimSpace(string(said[2:n])))
}
