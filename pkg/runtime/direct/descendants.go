// This file owns the processes below this one: which they are, and their end.

package direct

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/procfs"
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
	for at, n := pid, 0; at > 1 && n < maxDepth; at, n = procfs.Parent(at), n+1 {
		if procfs.Parent(at) == above {
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
	for _, pid := range procfs.Processes() {
		parent := procfs.Parent(pid)
		children[parent] = append(children[parent], pid)
	}
	for next := children[of]; len(next) > 0; {
		pid := next[0]
		all, next = append(all, pid), append(next[1:], children[pid]...)
		delete(children, pid)
	}
	return all
}
