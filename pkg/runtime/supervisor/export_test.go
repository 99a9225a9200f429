// This file owns what tests of other packages may break.

package supervisor

import (
	"bytes"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Break makes the thread that answers chroot die, until mend is called.
func Break() (mend func()) {
	was := handlers[unix.SYS_CHROOT]
	handlers[unix.SYS_CHROOT] = func(*call) answer { panic("it is broken") }
	return func() { handlers[unix.SYS_CHROOT] = was }
}

// SignalInChroot sends SIGUSR1 to the process that calls chroot first, while it waits for the answer, and answers when the kernel
// has either put the signal off or ended the call. It counts the calls, until mend is called.
func SignalInChroot() (calls *atomic.Int32, mend func()) {
	was := handlers[unix.SYS_CHROOT]
	calls = new(atomic.Int32)
	handlers[unix.SYS_CHROOT] = func(c *call) answer {
		if calls.Add(1) == 1 {
			_ = unix.Kill(c.pid, unix.SIGUSR1)
			for c.waiting() && !uninterruptible(c.pid) {
				time.Sleep(100 * time.Microsecond)
			}
		}
		return was(c)
	}
	return calls, func() { handlers[unix.SYS_CHROOT] = was }
}

// uninterruptible says whether a process sleeps so that only what kills it wakes it.
func uninterruptible(pid int) bool {
	stat, _ := os.ReadFile(strconv.Itoa(pid) + "/stat") // below /proc: see moveThread
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(state, []byte("D"))
}
