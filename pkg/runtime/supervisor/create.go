// This file owns how files are made that belong to somebody else than root.

package supervisor

import (
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/mark"
)

// created says whom a new file at a place belongs to. It is plain where the kernel makes it as it must be: it belongs to root.
func (c *call) created(p *place, inside bool) (o owner, plain bool) {
	who, begun := c.credentials()
	if !begun {
		return o, true
	}
	o = owner{who.user.fs, who.group.fs}
	mode, ok := c.directoryMode(p, inside)
	if ok && mode&unix.S_ISGID == 0 {
		return o, o == owner{}
	}
	dir, ok := c.directory(p, inside)
	if !ok {
		return o, true
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if unix.Fstat(dir, &st) == nil && st.Mode&unix.S_ISGID != 0 {
		o.gid = ownerOf(dir, st.Mode).gid
	}
	return o, o == owner{}
}

// directory opens the directory in which the file is to be: the place itself, or the one that it is in.
func (c *call) directory(p *place, inside bool) (int, bool) {
	if inside {
		fd, err := c.open(p)
		return fd, err == nil
	}
	fd, _, ok := c.openParent(p)
	return fd, ok
}

// directoryMode is the mode of the directory in which the file is to be: the place itself, or the one that it is in.
func (c *call) directoryMode(p *place, inside bool) (uint32, bool) {
	if !inside {
		return c.parentMode(p)
	}
	var st unix.Stat_t
	if statAt(p.full, true, &st) != nil {
		return 0, false
	}
	return st.Mode, true
}

func openat(c *call) answer {
	return c.openNew(int32(c.args[0]), c.args[1], c.args[2], uint32(c.args[3]))
}

func openat2(c *call) answer {
	var how unix.OpenHow
	if size := unix.SizeofOpenHow; c.args[3] < uint64(size) || c.read(c.args[2], bytesOf(&how)) != nil {
		return proceed
	}
	c.resolve = how.Resolve
	return c.openNew(int32(c.args[0]), c.args[1], how.Flags, uint32(how.Mode))
}

// openNew makes the file that an open is to make, and hands it over. A file that exists is the kernel's to open.
func (c *call) openNew(dir int32, addr, flags uint64, mode uint32) answer {
	temporary := flags&tmpfile != 0
	if flags&unix.O_PATH != 0 || !temporary && (flags&unix.O_CREAT == 0 || flags&unix.O_DIRECTORY != 0) {
		return proceed
	}
	p, ok := c.place(dir, addr, true, false)
	if !ok || p.fd >= 0 {
		return proceed
	}
	o, plain := c.created(&p, temporary)
	if plain {
		return proceed
	}
	flags = flags&^unix.O_NOCTTY | unix.O_CLOEXEC
	mode = mode & 07777 &^ c.umask()
	if temporary {
		return c.openTemporary(&p, o, flags, mode)
	}
	c.alone()
	parent, name, ok := c.openParent(&p)
	if !ok {
		return proceed
	}
	defer unix.Close(parent)
	fd, err := unix.Openat(parent, name, int(flags|unix.O_EXCL), mode)
	if err == unix.EEXIST {
		return proceed
	}
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	a := c.handOver(fd, o, flags)
	if a != 0 {
		_ = unix.Unlinkat(parent, name, 0)
	}
	return a
}

func (c *call) openTemporary(p *place, o owner, flags uint64, mode uint32) answer {
	dir, err := c.open(p)
	if err != nil {
		return proceed
	}
	defer unix.Close(dir)
	fd, err := unix.Open(self(dir), int(flags), mode)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	return c.handOver(fd, o, flags)
}

// handOver gives a new file its owner, and the process the file. Its answer is 0 if the process has it.
func (c *call) handOver(fd int, o owner, flags uint64) answer {
	if err := setOwner(fd, unix.S_IFREG, o); err != nil {
		return failed(err)
	}
	closeOnExec := c.args[2]&unix.O_CLOEXEC != 0
	if c.nr == unix.SYS_OPENAT2 {
		closeOnExec = flags&unix.O_CLOEXEC != 0
	}
	if err := replyFile(c.fd, c.id, fd, closeOnExec); err != nil {
		return failed(err)
	}
	c.sent = true
	return 0
}

func mkdirat(c *call) answer {
	mode := uint32(c.args[2])
	return c.makeAt(int32(c.args[0]), c.args[1], unix.AT_REMOVEDIR, func(dir int, name string) error {
		return unix.Mkdirat(dir, name, mode&01777&^c.umask())
	})
}

func symlinkat(c *call) answer {
	var target [unix.PathMax]byte
	n, err := c.readString(c.args[0], target[:])
	if err != nil {
		return proceed
	}
	return c.makeAt(int32(c.args[1]), c.args[2], 0, func(dir int, name string) error {
		return unix.Symlinkat(string(target[:n]), dir, name)
	})
}

// makeAt makes what is no open file, and gives it its owner. Removing it again takes those flags.
func (c *call) makeAt(dir int32, addr uint64, removal int, create func(dir int, name string) error) answer {
	p, ok := c.place(dir, addr, false, false)
	if !ok || p.fd >= 0 {
		return proceed
	}
	o, plain := c.created(&p, false)
	if plain {
		return proceed
	}
	return c.makeFor(&p, o, removal, create)
}

func (c *call) makeFor(p *place, o owner, removal int, create func(dir int, name string) error) answer {
	c.alone()
	parent, name, ok := c.openParent(p)
	if !ok {
		return proceed
	}
	if err := create(parent, name); err != nil {
		unix.Close(parent)
		return failed(err)
	}
	// After a signal the process calls once more, and must find nothing then.
	c.done = func(delivered bool) {
		if !delivered {
			_ = unix.Unlinkat(parent, name, removal)
		}
		unix.Close(parent)
	}
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = setOwner(fd, st.Mode, o)
	}
	if err != nil {
		return failed(err)
	}
	return 0
}

// mknodat makes a device, which is an empty file with a mark, or what else mknod makes.
func mknodat(c *call) answer {
	mode, device := uint32(c.args[2]), c.args[3]
	kind := mode & unix.S_IFMT
	isDevice := kind == unix.S_IFBLK || kind == unix.S_IFCHR && device != 0 // 0, 0 is a whiteout, which the kernel knows
	if !isDevice {
		return c.makeAt(int32(c.args[0]), c.args[1], 0, func(dir int, name string) error {
			return unix.Mknodat(dir, name, kind|mode&07777&^c.umask(), 0)
		})
	}
	if !c.mayMakeDevices() {
		return proceed // the kernel says EPERM
	}
	p, ok := c.place(int32(c.args[0]), c.args[1], false, false)
	if !ok || p.fd >= 0 {
		return proceed
	}
	var o owner
	if c.level == Full || c.level == NoStat {
		o, _ = c.created(&p, false)
	}
	value := mark.Device{Type: kind, Major: unix.Major(device), Minor: unix.Minor(device)}.Encode()
	return c.makeFor(&p, o, 0, func(dir int, name string) error {
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, mode&07777&^c.umask())
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Fsetxattr(fd, mark.Node, value, 0); err != nil {
			_ = unix.Unlinkat(dir, name, 0)
			return err
		}
		return nil
	})
}

// mayMakeDevices says whether the process is privileged: as root here, or by the kernel's own truth where there are more users.
func (c *call) mayMakeDevices() bool {
	if c.level == Devices {
		s, err := statusOf(c.pid)
		return err == nil && s.rootWith(unix.CAP_DAC_OVERRIDE) && (c.options.MknodWithheld || s.rootWith(unix.CAP_MKNOD))
	}
	who, begun := c.credentials()
	return begun && who.user.effective == 0
}

// umask is the process's. Threads here have none.
func (c *call) umask() uint32 {
	s, err := statusOf(c.pid)
	if err != nil {
		return 022
	}
	return s.umask
}
