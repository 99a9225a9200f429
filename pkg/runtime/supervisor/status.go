// This file owns what /proc/PID/status says of a process that nothing else does.

package supervisor

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// rootOf is the root of a process, from the host's /proc.
func rootOf(pid int) string { return strconv.Itoa(pid) + "/root" }

// status is what a process may do, and which permissions its new files do not get.
type status struct {
	umask        uint32
	fsUID, fsGID uint32
	capabilities uint64 // that are effective
}

// rootWith says whether the process is root and has capabilities.
func (s status) rootWith(capabilities ...int) bool {
	for _, c := range capabilities {
		if s.capabilities&(1<<c) == 0 {
			return false
		}
	}
	return s.fsUID == 0 && s.fsGID == 0
}

// statusOf reads the status of a process.
func statusOf(pid int) (s status, err error) {
	fd, err := unix.Open(strconv.Itoa(pid)+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return s, err
	}
	defer unix.Close(fd)
	var b [4096]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return s, err
	}
	return parseStatus(b[:n])
}

func parseStatus(b []byte) (s status, err error) {
	found := 0
	var skip uint32
	for line := range bytes.Lines(b) {
		var n int
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "Umask":
			n, err = fmt.Sscanf(string(value), "%o", &s.umask)
		case "Uid":
			n, err = fmt.Sscan(string(value), &skip, &skip, &skip, &s.fsUID)
		case "Gid":
			n, err = fmt.Sscan(string(value), &skip, &skip, &skip, &s.fsGID)
		case "CapEff":
			n, err = fmt.Sscanf(string(value), "%x", &s.capabilities)
		}
		if err != nil {
			return s, fmt.Errorf("reading the status of a process: line %q: %w", line, err)
		}
		if n > 0 {
			found++
		}
	}
	if found != 4 {
		return s, fmt.Errorf("the status of a process has %d of 4 lines", found)
	}
	return s, nil
}
