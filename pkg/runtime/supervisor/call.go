// This file owns a call that waits for its answer, and which function answers which.

package supervisor

import (
	"sync"

	"golang.org/x/sys/unix"
)

// listMax is the longest list of attributes (XATTR_LIST_MAX of linux/limits.h).
const listMax = 65536

// call is the call that a thread answers. One value lives as long as its thread.
type call struct {
	*session
	notification
	pid     int
	resolve uint64               // how paths of openat2 are to be resolved besides
	sent    bool                 // the answer was given already, with a descriptor
	done    func(delivered bool) // ends what an answer began, when the process has it, or not; may be nil
	held    *sync.Mutex          // see alone
	moved   bool                 // the thread has the root of the sandbox
	name    [lead + unix.PathMax]byte
	list    [listMax]byte
	known   lastProcess
}

// waiting says whether the process still waits, so that its number is its own.
func (c *call) waiting() bool { return waiting(c.fd, c.id) }

// alone waits until no other thread changes anything for the same process, up to the end of the answer. It must come before the
// last look whether the process still waits: a signal can end a call that is being answered, and the process may call once
// more, or go on, before an answer that comes too late has been given up.
func (c *call) alone() {
	if c.held == nil {
		c.held = &c.changing[c.pid%len(c.changing)]
		c.held.Lock()
	}
}

// credentials are whom the process runs as; it has not begun while libcontainer prepares it.
func (c *call) credentials() (who credentials, begun bool) { return c.ids.of(c.pid) }

// handlers answer calls, by their numbers.
var handlers = [512]func(*call) answer{
	unix.SYS_GETUID:    telling1(func(c credentials) uint32 { return c.user.real }),
	unix.SYS_GETEUID:   telling1(func(c credentials) uint32 { return c.user.effective }),
	unix.SYS_GETGID:    telling1(func(c credentials) uint32 { return c.group.real }),
	unix.SYS_GETEGID:   telling1(func(c credentials) uint32 { return c.group.effective }),
	unix.SYS_GETRESUID: telling3(func(c credentials) ids { return c.user }),
	unix.SYS_GETRESGID: telling3(func(c credentials) ids { return c.group }),
	unix.SYS_GETGROUPS: getGroups,

	unix.SYS_SETUID:    becoming(setUID),
	unix.SYS_SETGID:    becoming(setGID),
	unix.SYS_SETREUID:  becoming(setREUID),
	unix.SYS_SETREGID:  becoming(setREGID),
	unix.SYS_SETRESUID: becoming(setRESUID),
	unix.SYS_SETRESGID: becoming(setRESGID),
	unix.SYS_SETFSUID:  setFSUID,
	unix.SYS_SETFSGID:  setFSGID,
	unix.SYS_SETGROUPS: setGroups,
	unix.SYS_PRCTL:     prctl,
	unix.SYS_CHROOT:    chroot,
	unix.SYS_EXECVE:    execve,
	unix.SYS_EXECVEAT:  execveat,
	unix.SYS_PRLIMIT64: prlimit,
	unix.SYS_GETRLIMIT: getrlimit,
	unix.SYS_SETRLIMIT: func(*call) answer { return 0 },

	unix.SYS_FCHOWNAT:   chownat,
	unix.SYS_NEWFSTATAT: statat,
	unix.SYS_STATX:      statx,
	unix.SYS_OPENAT:     openat,
	unix.SYS_OPENAT2:    openat2,
	unix.SYS_MKDIRAT:    mkdirat,
	unix.SYS_SYMLINKAT:  symlinkat,
	unix.SYS_MKNODAT:    mknodat,

	unix.SYS_LISTXATTR:    func(c *call) answer { return listing(c, unix.AT_FDCWD, c.args[0], true, c.args[1], c.args[2]) },
	unix.SYS_LLISTXATTR:   func(c *call) answer { return listing(c, unix.AT_FDCWD, c.args[0], false, c.args[1], c.args[2]) },
	unix.SYS_FLISTXATTR:   func(c *call) answer { return listing(c, int32(c.args[0]), 0, true, c.args[1], c.args[2]) },
	unix.SYS_SETXATTR:     func(c *call) answer { return setting(c, unix.AT_FDCWD, c.args[0], true) },
	unix.SYS_LSETXATTR:    func(c *call) answer { return setting(c, unix.AT_FDCWD, c.args[0], false) },
	unix.SYS_FSETXATTR:    func(c *call) answer { return setting(c, int32(c.args[0]), 0, true) },
	unix.SYS_REMOVEXATTR:  removing,
	unix.SYS_LREMOVEXATTR: removing,
	unix.SYS_FREMOVEXATTR: removing,
}

// answer answers the call. What is not known here, as a call of a 32-bit program, is left to the kernel.
func (c *call) answer() answer {
	c.pid, c.resolve, c.sent, c.done = int(c.notification.pid), 0, false, nil
	if c.arch != auditArch {
		return proceed
	}
	if newer := older[int(c.nr)]; newer != nil {
		c.nr = newer(&c.args)
	}
	if c.nr < 0 || int(c.nr) >= len(handlers) || handlers[c.nr] == nil {
		return proceed
	}
	if c.strange.Load() && unix.Chroot(rootOf(c.pid)) != nil {
		return proceed
	}
	return handlers[c.nr](c)
}
