package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bindRoot binds the root to a place of its own. What is mounted in it there goes with it into the container and, in the
// end, away. libcontainer could mount all that, too, but takes many times as long: it looks for each mount point with the
// distrust that an image deserves which a process may be changing. Here none is in it yet.
func (r *run) bindRoot() error {
	dir, err := filepath.EvalSymlinks(r.dir) // libcontainer takes no symbolic links
	own := filepath.Join(dir, "root")
	if err == nil {
		err = os.Mkdir(own, 0o755)
	}
	if err == nil {
		err = unix.Mount(r.Root, own, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("binding the root of the sandbox: %w", err)
	}
	r.root = own
	return nil
}

// unbindRoot takes away what is mounted in the root, too; it must come before the mount points are removed.
func (r *run) unbindRoot() error {
	if err := unix.Unmount(r.root, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting the root of the sandbox: %w", err)
	}
	return nil
}

// mountDev mounts what every /dev has.
func (r *run) mountDev() error {
	dev := filepath.Join(r.root, "dev")
	owner := fmt.Sprintf("uid=%d,gid=%d", r.KeepID.outside(0, r.keptUID()), r.KeepID.outside(0, r.keptGID()))
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=65536k,"+owner); err != nil {
		return fmt.Errorf("mounting /dev: %w", err)
	}
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
	return unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW, &attr)
}
