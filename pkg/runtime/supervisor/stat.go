// This file owns how owners and devices are shown.

package supervisor

import (
	"golang.org/x/sys/unix"
)

// fstatForm makes fstat a stat of the descriptor.
func fstatForm(a *[6]uint64) int32 {
	*a = [6]uint64{a[0], 0, a[1], unix.AT_EMPTY_PATH}
	return unix.SYS_NEWFSTATAT
}

// statat shows a file that has marks; all others are as the kernel shows them. Between the look and the kernel's own the file may
// have become another: then the process has raced with itself.
func statat(c *call) answer {
	flags := c.args[3]
	p, ok := c.place(int32(c.args[0]), c.args[1], flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0)
	if !ok || !c.marked(&p) {
		return proceed
	}
	fd, err := c.open(&p)
	if err != nil {
		return proceed
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed(err)
	}
	o := ownerOf(fd, st.Mode)
	st.Uid, st.Gid = o.uid, o.gid
	if d, ok := deviceOf(fd, st.Mode, st.Size); ok {
		st.Mode = st.Mode&^unix.S_IFMT | d.Type
		st.Rdev = unix.Mkdev(d.Major, d.Minor)
	}
	if err := c.write(c.args[2], bytesOf(&st)); err != nil {
		return failed(err)
	}
	return 0
}

func statx(c *call) answer {
	flags := c.args[2]
	p, ok := c.place(int32(c.args[0]), c.args[1], flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0)
	if !ok || !c.marked(&p) {
		return proceed
	}
	fd, err := c.open(&p)
	if err != nil {
		return proceed
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	how := unix.AT_EMPTY_PATH | int(flags&(unix.AT_STATX_FORCE_SYNC|unix.AT_STATX_DONT_SYNC))
	if err := unix.Statx(fd, "", how, int(uint32(c.args[3])|unix.STATX_TYPE|unix.STATX_MODE|unix.STATX_SIZE), &st); err != nil {
		return failed(err)
	}
	o := ownerOf(fd, uint32(st.Mode))
	st.Uid, st.Gid = o.uid, o.gid
	if d, ok := deviceOf(fd, uint32(st.Mode), int64(st.Size)); ok {
		st.Mode = st.Mode&^unix.S_IFMT | uint16(d.Type)
		st.Rdev_major, st.Rdev_minor = d.Major, d.Minor
	}
	if err := c.write(c.args[4], bytesOf(&st)); err != nil {
		return failed(err)
	}
	return 0
}

// marked says whether a file may have marks. It opens nothing but what the process has open.
func (c *call) marked(p *place) bool {
	n, err := c.attributes(p)
	return err == nil && mayHaveMarks(c.list[:n])
}

// attributes lists the names of the attributes of a file into c.list.
func (c *call) attributes(p *place) (int, error) {
	if p.fd >= 0 {
		if fd, err := c.known.descriptor(c.pid, p.fd); err == nil {
			defer unix.Close(fd)
			n, err := unix.Flistxattr(fd, c.list[:])
			if err != unix.EBADF { // which a descriptor without the right to read gives
				return max(n, 0), err
			}
		}
	}
	return listAt(p.full, p.follow, c.list[:])
}

// lastProcess is the process whose call was answered last, by a descriptor, which never means another one.
type lastProcess struct {
	pid, fd int
}

// descriptor takes a copy of a descriptor of a process.
func (l *lastProcess) descriptor(pid, theirs int) (int, error) {
	if l.pid == pid {
		if fd, err := unix.PidfdGetfd(l.fd, theirs, 0); err != unix.ESRCH {
			return fd, err
		}
	}
	l.forget()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	l.pid, l.fd = pid, fd
	return unix.PidfdGetfd(fd, theirs, 0)
}

func (l *lastProcess) forget() {
	if l.pid != 0 {
		unix.Close(l.fd)
		l.pid = 0
	}
}
