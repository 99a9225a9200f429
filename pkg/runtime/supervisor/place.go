// This file owns where a file is that a process names, and how it is opened without leaving the sandbox.

package supervisor

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// place is where a call says that a file is. Its bytes are the thread's, and last as long as the call.
type place struct {
	full   []byte // the whole path for this thread, with the zero at its end
	start  int    // the length of what was put in front of the path
	fd     int    // the process's descriptor of the very file, or -1
	follow bool   // a symbolic link at the end is followed
}

// path is the path without what was put in front of it, "" for the start itself.
func (p *place) path() string { return string(p.full[p.start : len(p.full)-1]) }

// lead is the most that is put in front of a path.
const lead = 40

// place finds out where a file is, by a descriptor of a directory and the address of a path. It is not ok where only the
// kernel can tell. empty allows the path to be none, which means the descriptor itself.
func (c *call) place(dir int32, addr uint64, follow, empty bool) (p place, ok bool) {
	p = place{fd: -1, follow: follow}
	n := 0
	if addr != 0 {
		var err error
		if n, err = c.readString(addr, c.name[lead:]); err != nil {
			return p, false
		}
	} else if !empty {
		return p, false
	}
	path := c.name[lead : lead+n]
	switch {
	case n == 0 && !empty:
		return p, false
	case n == 0:
		p.follow = true
		if dir >= 0 {
			p.fd = int(dir)
		}
	case path[0] == '/':
		p.full = c.name[lead : lead+n+1]
		if !bytes.HasPrefix(path, procPath) && !bytes.HasPrefix(path, devPath) {
			return p, true
		}
		fd, special := descriptorOf(path)
		if !special {
			return p, !bytes.HasPrefix(path, procPath)
		}
		if !follow || fd < 0 {
			return p, false
		}
		p.fd, dir, n = fd, int32(fd), 0
	}
	var buffer [lead]byte
	front := strconv.AppendInt(buffer[:0], int64(c.pid), 10)
	if dir == unix.AT_FDCWD {
		front = append(front, "/cwd"...)
	} else {
		front = strconv.AppendInt(append(front, "/fd/"...), int64(dir), 10)
	}
	if n > 0 {
		front = append(front, '/')
	}
	p.start = len(front)
	copy(c.name[lead-len(front):], front)
	c.name[lead+n] = 0
	p.full = c.name[lead-len(front) : lead+n+1]
	return p, true
}

var procPath, devPath = []byte("/proc/"), []byte("/dev/")

// descriptorOf finds the descriptor that a path below /proc/self/fd means. It is special for all paths that lead through that
// directory, and -1 for those that are none of its links.
func descriptorOf(path []byte) (fd int, special bool) {
	switch string(path) {
	case "/dev/stdin":
		return 0, true
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"} {
		if rest, ok := strings.CutPrefix(string(path), dir); ok {
			if fd, err := strconv.ParseUint(rest, 10, 31); err == nil {
				return int(fd), true
			}
			return -1, true
		}
	}
	return -1, false
}

// open opens the file, by its descriptor only. It fails with ELOOP where the path leads through links of /proc.
func (c *call) open(p *place) (int, error) {
	fd, err := c.openFrom(p.lead(), p.path(), p.follow)
	if err != nil {
		return -1, err
	}
	if !c.waiting() {
		unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// lead is where the path starts, from the host's /proc; "" for the root.
func (p *place) lead() string { return strings.TrimSuffix(string(p.full[:p.start]), "/") }

func (c *call) openFrom(start, path string, follow bool) (int, error) {
	dir := unix.AT_FDCWD
	if start != "" {
		fd, err := unix.Open(start, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil || path == "" {
			return fd, err
		}
		defer unix.Close(fd)
		dir = fd
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS | c.resolve}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	return unix.Openat2(dir, path, &how)
}

// openParent opens the directory in which a file is to be made, and gives the name that the file gets in it. It is not ok
// where there can be no new file of that name.
func (c *call) openParent(p *place) (dir int, name string, ok bool) {
	path := strings.TrimRight(p.path(), "/")
	at := strings.LastIndexByte(path, '/')
	name = path[at+1:]
	if name == "" || name == "." || name == ".." {
		return -1, "", false
	}
	parent, start := path[:at+1], p.lead() // with its slash, which is the root in "/a"
	if parent == "" && start == "" {
		return -1, "", false
	}
	dir, err := c.openFrom(start, parent, true)
	if err != nil {
		return -1, "", false
	}
	if !c.waiting() {
		unix.Close(dir)
		return -1, "", false
	}
	return dir, name, true
}

// parentMode is the mode of the directory that the file is in. It looks without opening, as whoever is fooled by a path that
// changes meanwhile has fooled themselves.
func (c *call) parentMode(p *place) (mode uint32, ok bool) {
	path := bytes.TrimRight(p.full[p.start:len(p.full)-1], "/")
	end := p.start + bytes.LastIndexByte(path, '/') + 1
	if end == 0 || len(path) == 0 {
		return 0, false
	}
	was := p.full[end]
	p.full[end] = 0
	defer func() { p.full[end] = was }()
	var st unix.Stat_t
	if err := statAt(p.full[:end+1], true, &st); err != nil {
		return 0, false
	}
	return st.Mode, true
}
