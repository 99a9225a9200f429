// This file owns that no signal interrupts a call that is being answered: the kernel would drop the answer and make the call once
// more, and what was done for it would have happened twice.

package runtime

import (
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
)

// answeredFlags are the flags with which libcontainer makes a filter whose calls are answered: the constant
// SECCOMP_FILTER_FLAG_NEW_LISTENER, which it reads from C. It is nil where this program has no libseccomp.
//
//go:linkname answeredFlags github.com/opencontainers/runc/libcontainer/seccomp/patchbpf._Cvar_C_FILTER_FLAG_NEW_LISTENER
var answeredFlags *uintptr

// uninterrupted lets the filter that libcontainer makes in this process have one flag more, where the kernel knows it (Linux 5.19):
// with it, only a signal that kills ends a call that somebody has begun to answer. libcontainer can ask for it with libseccomp 2.6
// only, which is younger than many a distribution that gbuild is built on; the kernel itself needs no library for that.
func uninterrupted() {
	if answeredFlags == nil || !keepsSignals() {
		return
	}
	flags := *answeredFlags | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	answeredFlags = &flags
}

// keepsSignals says whether the kernel knows the flag: it looks at the flags before it looks for the filter, of which there is none.
func keepsSignals() bool {
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	_, _, err := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, 0)
	return err == unix.EFAULT
}
