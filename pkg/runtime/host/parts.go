// This file owns the question which of the kernel's file systems and names a sandbox can have for itself here. What the kernel
// refuses, the sandbox shares with this process. The kernel is asked by trying, once in a process.

package host

import (
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/procfs"
	"github.com/gbuild/gbuild/internal/thread"
)

// Parts says what of the kernel a sandbox has for itself.
type Parts struct {
	Proc     bool // a /proc with numbers of processes that are its own; else those of this process
	Hostname bool // a name of the host; else that of this process
	Cgroup   bool // a view of control groups that begins with its own
}

// OwnParts finds out which parts a sandbox has for itself here.
func OwnParts() Parts { return ownParts() }

var ownParts = sync.OnceValue(func() Parts {
	hostname, cgroup := namedHere()
	return Parts{
		Proc:     len(covers(Mounts(), "proc", "/proc")) == 0 || newProc() == 0,
		Hostname: hostname == 0,
		Cgroup:   cgroup == 0,
	}
})

// Mounts is what was mounted when it was asked for first, in the form of /proc/self/mountinfo.
func Mounts() string { return mounts() }

var mounts = sync.OnceValue(func() string { return ReadSetting("/proc/self/mountinfo") })

// newProc says why there is no other /proc.
var newProc = sync.OnceValue(tryProc)

// namedHere says why there is no other name of a host, and no other view of control groups.
var namedHere = sync.OnceValues(func() (hostname, cgroup syscall.Errno) {
	_ = thread.Run(func() error {
		hostname, cgroup = errnoOf(tryHostname()), errnoOf(unix.Unshare(unix.CLONE_NEWCGROUP))
		return nil
	})
	return hostname, cgroup
})

// emptyDirs are directories that the kernel makes for nothing but mounts: what is mounted there covers nothing.
var emptyDirs = []string{
	"/proc/sys/fs/binfmt_misc", "/sys/fs/cgroup", "/sys/fs/bpf", "/sys/fs/pstore", "/sys/fs/fuse/connections", "/sys/fs/selinux",
	"/sys/fs/smackfs", "/sys/fs/resctrl", "/sys/kernel/security", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/config",
	"/sys/firmware/efi/efivars",
}

// covers lists what is mounted over parts of dir, which shows a kind of the kernel's own file systems. The kernel gives nobody in
// a user namespace another of that kind, who could look below the covers then. One that is read-only counts as covered, and so
// does one that is not there.
func covers(mountinfo, kind, dir string) (list []string) {
	there := false
	for m := range procfs.Mounts(mountinfo) {
		switch {
		case m.Point == dir:
			there = m.Type == kind
			if slices.Contains(m.Options, "ro") {
				list = append(list, m.Point+", read-only")
			}
		case Under(m.Point, dir) && !slices.ContainsFunc(emptyDirs, func(e string) bool { return Under(m.Point, e) }):
			list = append(list, m.Point)
		}
	}
	if !there {
		list = append(list, dir+", where there is none")
	}
	return list
}

// OwnSys says whether a sandbox with a network of its own can have a /sys of its own, which shows that network, and whether it
// may be writable.
func OwnSys() (own, writable bool) { return ownSys() }

var ownSys = sync.OnceValues(func() (own, writable bool) {
	if len(covers(Mounts(), "sysfs", "/sys")) == 0 {
		return true, true
	}
	err := thread.Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return makeFilesystem("sysfs", unix.MOUNT_ATTR_RDONLY)
	})
	return err == nil, false
})

// makeFilesystem makes a mount of a file system of the kernel's, and puts it nowhere.
func makeFilesystem(kind string, more int) error {
	fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.FsconfigCreate(fd); err != nil {
		return err
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC|more)
	if err != nil {
		return err
	}
	return unix.Close(mount)
}
