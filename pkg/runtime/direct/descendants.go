// This file owns the processes below this one: which they are, and their end.

package direct

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// killDescendants kills all processes below this one.
func killDescendants() {
	for _, pid := range descendants(os.Getpid()) {
		killBelow(os.Getpid(), pid)
	}
}

// killBelow kills a process, unless its number is another's by now, which is not below.
func killBelow(above, pid int) {
	p, err := os.FindProcess(pid) // it holds the process, whatever becomes of its number
	if err != nil {
		return
	}
	defer func() { _ = p.Release() }()
	for at, n := pid, 0; at > 1 && n < maxDepth; at, n = parentOf(at), n+1 {
		if parentOf(at) == above {
			_ = p.Signal(unix.SIGKILL)
			return
		}
	}
}

// maxDepth is beyond what processes can lie below each other: numbers may change hands while they are looked at, and no circle is walked for ever.
const maxDepth = 1 << 22

// descendants lists the processes below one.
func descendants(of int) (all []int) {
	children := map[int][]int{}
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			parent := parentOf(pid)
			children[parent] = append(children[parent], pid)
		}
	}
	for next := children[of]; len(next) > 0; {
		pid := next[0]
		all, next = append(all, pid), append(next[1:], children[pid]...)
		delete(children, pid)
	}
	return all
}

// parentOf gives the parent of a process, or 0.
func parentOf(pid int) (parent int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // a name may have anything in it
	if len(fields) < 2 {
		return 0
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	return parent
}
