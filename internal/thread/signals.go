// This file owns the signals that the calling thread has, and hands on to the program that it becomes.

package thread

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	lastSignal = 64         // _NSIG of Linux
	setSize    = 64 / 8     // bytes of a set of signals
	ignored    = uintptr(1) // SIG_IGN
)

// sigaction is the kernel's, see rt_sigaction(2); the zero value is the default action.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// DefaultSignals undoes what the caller of gbuild chose to ignore or to block, in the calling thread: nohup, a shell's job in
// the background and Python's subprocesses hand such choices on through every exec, and a command in a container would
// neither end on Ctrl-C nor stop when it is told to. Handlers of Go itself end with the exec.
func DefaultSignals() {
	var action sigaction
	for signal := uintptr(1); signal <= lastSignal; signal++ {
		_, _, err := unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, 0, uintptr(unsafe.Pointer(&action)), setSize, 0, 0)
		if err == 0 && action.handler == ignored {
			action = sigaction{}
			_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
		}
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
}
