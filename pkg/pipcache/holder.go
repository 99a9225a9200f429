package pipcache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file says who has a cache, for messages only.

// holder names the process that has the lock of a cache: as the kernel says, or, where it cannot see that process, as the
// last one wrote that had the cache for itself.
func holder(dir string) string {
	name := filepath.Join(dir, lockFile)
	if pid := lockedBy(name); pid == os.Getpid() {
		return fmt.Sprintf("another step of this build (process %d)", pid)
	} else if pid > 0 {
		return fmt.Sprintf("another build (process %d)", pid)
	}
	text, err := os.ReadFile(name)
	if err != nil || len(text) == 0 || len(text) > 100 {
		return "another build"
	}
	return "another build (" + string(text) + ")"
}

// lockedBy finds the process that holds a lock of a file in the kernel's list of locks; 0 where that does not say.
func lockedBy(name string) int {
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		return 0
	}
	list, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for line := range strings.Lines(string(list)) {
		var n, kind, advice, access, where string
		var pid int
		if _, err := fmt.Sscan(line, &n, &kind, &advice, &access, &pid, &where); err == nil && kind == "FLOCK" && where == file {
			return pid
		}
	}
	return 0
}
