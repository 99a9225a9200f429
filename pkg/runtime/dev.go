package runtime

import (
	"fmt"
	"os"
	"path/filepath"

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
	r.dev = dev
	if err := mountTerminals(filepath.Join(dev, "pts")); err != nil {
		return fmt.Errorf("mounting /dev/pts: %w", err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindDevice("/dev/"+name, filepath.Join(dev, name)); err != nil {
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

// bindDevice binds a node of the host, for a user namespace has no mknod. It is read-only: that does not keep anyone
// from writing to the device, but keeps a RUN of root's from changing the mode of the host's node.
func bindDevice(node, target string) error {
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(node, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	only := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, Propagation: unix.MS_PRIVATE}
	return unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW, &only)
}

// unmountDev takes what mountDev has mounted out of the root.
func (r *run) unmountDev() error {
	if r.dev == "" {
		return nil
	}
	if err := unix.Unmount(r.dev, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting /dev: %w", err)
	}
	return nil
}
