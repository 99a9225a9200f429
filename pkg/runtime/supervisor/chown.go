// This file owns how files are given away.

package supervisor

import (
	"errors"

	"golang.org/x/sys/unix"
)

// fchownForm makes fchown a chown of the descriptor.
func fchownForm(a *[6]uint64) int32 {
	*a = [6]uint64{a[0], 0, a[1], a[2], unix.AT_EMPTY_PATH}
	return unix.SYS_FCHOWNAT
}

// chownat gives a file away: the kernel gives it to root, with all that this changes besides, and the mark says whom it belongs to.
func chownat(c *call) answer {
	who, begun := c.credentials()
	if !begun {
		return proceed
	}
	uid, gid, flags := uint32(c.args[2]), uint32(c.args[3]), c.args[4]
	p, ok := c.place(int32(c.args[0]), c.args[1], flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0)
	if !ok {
		return c.strangeChown(&p)
	}
	toRoot := (uid == 0 || uid == same) && (gid == 0 || gid == same)
	if toRoot && who.user.fs == 0 && !c.marked(&p) {
		return proceed
	}
	c.alone()
	fd, err := c.open(&p)
	switch {
	case err == nil:
	case errors.Is(err, unix.ELOOP):
		return 0 // what /proc leads to, as a terminal
	default:
		return failed(err)
	}
	defer unix.Close(fd)
	return give(fd, who, uid, gid)
}

// strangeChown answers for paths of which only the kernel can tell where they lead: below /proc everything belongs to whom
// it belongs, and giving it away is what nobody relies on.
func (c *call) strangeChown(p *place) answer {
	if len(p.full) > len(procPath) && string(p.full[:len(procPath)]) == string(procPath) {
		return 0
	}
	return proceed
}

// give gives an open file away; same leaves an id as it is.
func give(fd int, who credentials, uid, gid uint32) answer {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed(err)
	}
	from := ownerOf(fd, st.Mode)
	to := from
	if uid != same {
		to.uid = uid
	}
	if gid != same {
		to.gid = gid
	}
	if !who.mayGive(from, to) {
		return failed(unix.EPERM)
	}
	if err := unix.Fchownat(fd, "", 0, 0, unix.AT_EMPTY_PATH); err != nil && err != unix.EPERM {
		return failed(err) // EPERM: a pipe or a terminal of the host's, whose owner is not ours
	}
	if err := setOwner(fd, st.Mode, to); err != nil {
		return failed(err)
	}
	return 0
}
