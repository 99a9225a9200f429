// This file owns what the kernel says of processes.

package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Parent gives the parent of a process; 0 where it has none that is seen here, or is gone.
func Parent(pid int) (parent int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // a name may have anything in it
	if len(fields) < 2 {
		return 0
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	return parent
}

// Processes lists the processes that are seen here.
func Processes() (all []int) {
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}
