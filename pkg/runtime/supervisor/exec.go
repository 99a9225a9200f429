// This file owns what programs change that are executed: who a process is, and which root it has.

package supervisor

import (
	"golang.org/x/sys/unix"
)

func execve(c *call) answer { return c.exec(unix.AT_FDCWD, c.args[0], 0) }

func execveat(c *call) answer { return c.exec(int32(c.args[0]), c.args[1], c.args[4]) }

// exec gives a process the credentials that it has after the program's start, and leaves that to the kernel.
func (c *call) exec(dir int32, addr, flags uint64) answer {
	was, begun := c.credentials()
	who := was
	if !begun {
		var ok bool
		if who, ok = c.ids.awaiting(c.pid); !ok {
			return proceed
		}
	}
	var mode uint32
	var o owner
	if p, ok := c.place(dir, addr, flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0); ok && !c.noNewPrivileges {
		mode, o = c.program(&p)
	}
	if who = who.exec(mode, o); who != was || !begun {
		if c.become(who) != 0 {
			return failed(unix.EAGAIN)
		}
	}
	return proceed
}

// program finds the mode and the owner of a program that makes who executes it somebody else. For any other file, the kernel's
// word is not asked for.
func (c *call) program(p *place) (mode uint32, o owner) {
	var st unix.Stat_t
	const raising = unix.S_ISUID | unix.S_ISGID
	if statAt(p.full, p.follow, &st) != nil || st.Mode&raising == 0 || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return 0, o
	}
	fd, err := c.open(p)
	if err != nil {
		return 0, o
	}
	defer unix.Close(fd)
	if isScript(fd) {
		return 0, o
	}
	return st.Mode, ownerOf(fd, st.Mode)
}

// isScript says whether a file is executed by another one, which then counts.
func isScript(fd int) bool {
	file, err := unix.Open(self(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(file)
	var b [2]byte
	n, _ := unix.Read(file, b[:])
	return n == 2 && string(b[:]) == "#!"
}

// chroot takes note that paths may begin elsewhere from now on, and leaves the rest to the kernel.
func chroot(c *call) answer {
	c.strange.Store(true)
	return proceed
}
