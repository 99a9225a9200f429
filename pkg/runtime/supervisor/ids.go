// This file owns the calls by which a process asks who it is and becomes somebody else.

package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// telling1 answers with an id.
func telling1(id func(credentials) uint32) func(*call) answer {
	return func(c *call) answer {
		who, begun := c.credentials()
		if !begun {
			return proceed
		}
		return answer(id(who))
	}
}

// telling3 writes three ids to where the arguments point.
func telling3(of func(credentials) ids) func(*call) answer {
	return func(c *call) answer {
		who, begun := c.credentials()
		if !begun {
			return proceed
		}
		i := of(who)
		for n, id := range []uint32{i.real, i.effective, i.saved} {
			if err := c.write(c.args[n], bytesOf(&id)); err != nil {
				return failed(err)
			}
		}
		return 0
	}
}

func getGroups(c *call) answer {
	who, begun := c.credentials()
	if !begun {
		return proceed
	}
	count, room := len(who.groups)/4, int(int32(c.args[0]))
	if room == 0 {
		return answer(count)
	}
	if room < count {
		return failed(unix.EINVAL)
	}
	if err := c.write(c.args[1], []byte(who.groups)); err != nil {
		return failed(err)
	}
	return answer(count)
}

// maxGroups is NGROUPS_MAX of linux/limits.h.
const maxGroups = 65536

func setGroups(c *call) answer {
	who, begun := c.credentials()
	count := uint32(c.args[0])
	switch {
	case !begun:
		return proceed
	case !who.privileged():
		return failed(unix.EPERM)
	case count > maxGroups:
		return failed(unix.EINVAL)
	}
	raw, groups := make([]byte, 4*count), make([]uint32, count)
	if err := c.read(c.args[1], raw); err != nil {
		return failed(err)
	}
	for i := range groups {
		groups[i] = binary.NativeEndian.Uint32(raw[4*i:])
	}
	who.groups = packGroups(groups)
	return c.become(who)
}

// become gives the process new credentials.
func (c *call) become(who credentials) answer {
	if c.alone(); !c.waiting() {
		return failed(unix.ESRCH)
	}
	if err := c.ids.give(c.pid, who); err != nil {
		return failed(err)
	}
	return 0
}

// becoming answers a call that changes credentials by its arguments.
func becoming(change func(who *credentials, a [3]uint32) error) func(*call) answer {
	return func(c *call) answer {
		who, begun := c.credentials()
		if !begun {
			return proceed
		}
		if err := change(&who, [3]uint32{uint32(c.args[0]), uint32(c.args[1]), uint32(c.args[2])}); err != nil {
			return failed(err)
		}
		return c.become(who)
	}
}

func setUID(who *credentials, a [3]uint32) (err error) {
	who.user, err = who.user.set(a[0], who.privileged())
	return err
}

func setGID(who *credentials, a [3]uint32) (err error) {
	who.group, err = who.group.set(a[0], who.privileged())
	return err
}

func setREUID(who *credentials, a [3]uint32) (err error) {
	who.user, err = who.user.setBoth(a[0], a[1], who.privileged())
	return err
}

func setREGID(who *credentials, a [3]uint32) (err error) {
	who.group, err = who.group.setBoth(a[0], a[1], who.privileged())
	return err
}

func setRESUID(who *credentials, a [3]uint32) (err error) {
	who.user, err = who.user.setAll(a[0], a[1], a[2], who.privileged())
	return err
}

func setRESGID(who *credentials, a [3]uint32) (err error) {
	who.group, err = who.group.setAll(a[0], a[1], a[2], who.privileged())
	return err
}

// setFSUID gives back what the id was, whether it could be changed or not, as the kernel does.
func setFSUID(c *call) answer {
	who, begun := c.credentials()
	if !begun {
		return proceed
	}
	was := who.user.fs
	who.user = who.user.setFS(uint32(c.args[0]), who.privileged())
	if who.user.fs != was {
		c.become(who)
	}
	return answer(was)
}

func setFSGID(c *call) answer {
	who, begun := c.credentials()
	if !begun {
		return proceed
	}
	was := who.group.fs
	who.group = who.group.setFS(uint32(c.args[0]), who.privileged())
	if who.group.fs != was {
		c.become(who)
	}
	return answer(was)
}

// The bits of PR_SET_SECUREBITS with which a process stays privileged as another user: see capabilities(7).
const (
	noSetuidFixup = 1 << 2
	keepCapsBit   = 1 << 4
)

// prctl remembers whether what was root is to stay privileged. The kernel does what was asked, too.
func prctl(c *call) answer {
	who, begun := c.credentials()
	if !begun {
		return proceed
	}
	var keep bool
	switch c.args[0] {
	case unix.PR_SET_KEEPCAPS:
		keep = c.args[1] != 0
	case unix.PR_SET_SECUREBITS:
		keep = c.args[1]&(noSetuidFixup|keepCapsBit) != 0
	default:
		return proceed
	}
	if keep = keep && who.privileged(); keep != who.keepCaps {
		who.keepCaps = keep
		c.become(who)
	}
	return proceed
}

// prlimit keeps processes from the limit in which their credentials live: it has no bound, and setting one has no effect.
func prlimit(c *call) answer { return unlimited(c, c.args[3]) }

func getrlimit(c *call) answer { return unlimited(c, c.args[1]) }

func unlimited(c *call, addr uint64) answer {
	if addr == 0 {
		return 0
	}
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := c.write(addr, bytesOf(&limit)); err != nil {
		return failed(err)
	}
	return 0
}
