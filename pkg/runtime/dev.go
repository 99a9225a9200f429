// This file owns /dev. It is the sandbox's own: a tmpfs with the six nodes that every program expects, bound from the host since a
// user namespace has no mknod.

package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// mountDev mounts what every /dev has, and keeps /proc and /sys for libcontainer.
func mountDev(t *tree, root string, s *Sandbox) error {
	for _, dir := range []string{"/proc", "/dev", "/sys"} {
		// An image in which one of these leads elsewhere wants the sandbox to write there (CVE-2019-19921, CVE-2026-41579).
		at, err := t.place(dir, false, nil)
		if err != nil {
			return err
		}
		at.close()
		if at.path != dir {
			return fmt.Errorf("%s is a symbolic link in the image: a sandbox needs a directory there", dir)
		}
		t.covered[dir] = coverLater
	}
	t.covered["/dev"] = coverThere
	return fillDev(filepath.Join(root, "dev"), s)
}

// fillDev mounts /dev itself and what is in it.
func fillDev(dev string, s *Sandbox) error {
	zero := s.KeepID.owner(0, 0)
	owner := fmt.Sprintf("uid=%d,gid=%d", zero.uid, zero.gid)
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
	if s.HostIPC {
		return nil
	}
	if err := mountShm(filepath.Join(dev, "shm"), owner, s.ShmSize); err != nil {
		return fmt.Errorf("mounting /dev/shm: %w", err)
	}
	return nil
}

// mountTerminals gives the sandbox pseudo-terminals of its own.
func mountTerminals(pts string) error {
	if err := os.Mkdir(pts, 0o755); err != nil {
		return err
	}
	data := "newinstance,ptmxmode=0666,mode=0620"
	if host.HasGroup(5) { // the group tty of Debian and Fedora
		data += ",gid=5"
	}
	return unix.Mount("devpts", pts, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, data)
}

func mountShm(shm, owner string, size int64) error {
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
