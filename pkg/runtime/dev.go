package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// mountDev mounts what every /dev has on that of the root, which libcontainer binds with all that is mounted in it. It
// could mount these, too, but takes ten times as long: it looks for each mount point with the distrust that one deserves
// who comes after the image. Here all is new, and no process is in it yet.
func (r *run) mountDev() error {
	dev := filepath.Join(r.root, "dev")
	owner := fmt.Sprintf("uid=%d,gid=%d", r.KeepID.outside(0, r.keptUID()), r.KeepID.outside(0, r.keptGID()))
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=65536k,"+owner); err != nil {
		return fmt.Errorf("mounting /dev: %w", err)
	}
	r.mounted = append(r.mounted, dev)
	if err := mountTerminals(filepath.Join(dev, "pts")); err != nil {
		return fmt.Errorf("mounting /dev/pts: %w", err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindReadOnly("/dev/"+name, filepath.Join(dev, name), unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return fmt.Errorf("mounting /dev/%s: %w", name, err)
		}
	}
	if r.HostIPC {
		return nil
	}
	if err := r.mountShm(filepath.Join(dev, "shm"), owner); err != nil {
		return fmt.Errorf("mounting /dev/shm: %w", err)
	}
	return nil
}

func mountTerminals(pts string) error {
	if err := os.Mkdir(pts, 0o755); err != nil {
		return err
	}
	data := "newinstance,ptmxmode=0666,mode=0620"
	if mappedGroup(5) { // the group tty of Debian and Fedora
		data += ",gid=5"
	}
	return unix.Mount("devpts", pts, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, data)
}

func (r *run) mountShm(shm, owner string) error {
	size := r.ShmSize
	if size == 0 {
		size = 64 << 20
	}
	if err := os.Mkdir(shm, 0o755); err != nil {
		return err
	}
	return unix.Mount("shm", shm, "tmpfs", plain, fmt.Sprintf("mode=1777,size=%d,%s", size, owner))
}

// mountFile binds a file of ours read-only over the image's.
func (r *run) mountFile(m Mount) error {
	target, _, err := r.place(m.Target, true)
	if err != nil {
		return err
	}
	target = filepath.Join(r.root, target)
	if err := bindReadOnly(m.Source, target, 0); err != nil {
		return err
	}
	r.mounted = append(r.mounted, target)
	return nil
}

// bindReadOnly binds a file on another one, which it makes where nothing is, with more attributes of
// unix.MountAttr. Being read-only does not keep anyone from writing to a device, but keeps a RUN of root's from
// changing the mode of the host's node.
func bindReadOnly(source, target string, more uint64) error {
	if err := unix.Mknod(target, unix.S_IFREG|0o644, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | more, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW, &attr); err != nil {
		return errors.Join(err, unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH))
	}
	return nil
}

// unmount takes what is mounted in the root out of it.
func (r *run) unmount() error {
	var errs []error
	for _, at := range slices.Backward(r.mounted) {
		if err := unix.Unmount(at, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", at, err))
		}
	}
	return errors.Join(errs...)
}
