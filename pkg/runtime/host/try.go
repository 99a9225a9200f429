// This file owns trials of what a sandbox needs of the kernel, in the namespaces of this process. Each is made by a thread, or
// a process, that ends at once, and nothing of it stays.

package host

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
)

// tried says for each trial why it failed; 0 where it did not.
type tried struct {
	Done     bool          // it was tried at all
	Single   bool          // there is but one id
	Bare     bool          // this is root without a user namespace of its own
	Mount    syscall.Errno // a file system in memory
	Proc     syscall.Errno // a new one
	Hostname syscall.Errno // a name of the host
	Notify   syscall.Errno // a process can be told of the system calls of another
	Network  syscall.Errno // a namespace of the network
}

// try tries all.
func try() tried {
	t := tried{Done: true, Mount: errnoOf(thread.Run(tryMount)), Single: SingleID(), Bare: bare.Load(), Proc: newProc(), Notify: errnoOf(thread.Run(tryNotify)),
		Network: errnoOf(thread.Run(func() error { return unix.Unshare(unix.CLONE_NEWNET) }))}
	t.Hostname, _ = namedHere()
	return t
}

// errnoOf is the number in an error; EIO where it has none.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		return unix.EIO
	}
	return errno
}

// tryMount mounts a file system in memory, and changes what it allows.
func tryMount() error {
	const at = "/proc" // it is everywhere
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return err
	}
	return unix.MountSetattr(unix.AT_FDCWD, at, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC})
}

// tryVar says to a process that tryProc started what it is for.
const tryVar = "_GBUILD_TRY_PROC"

// tryProc mounts a new /proc, which needs a process that is the first in its namespace.
func tryProc() syscall.Errno {
	cmd := exec.Command(SelfExe)
	cmd.Env = []string{tryVar + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return syscall.Errno(exit.ExitCode())
	}
	return errnoOf(err)
}

// runTryProc ends this process where tryProc has started it.
func runTryProc() {
	if os.Getenv(tryVar) != "" {
		os.Exit(int(errnoOf(unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))))
	}
}

// tryHostname sets the name of a host that ends with its thread.
func tryHostname() error {
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		return err
	}
	return unix.Sethostname([]byte("gbuild"))
}

// tryNotify asks for a listener on the system calls of this thread, by a filter that lets all of them pass. A process has but one
// in all its filters, so inside of another supervisor there is none.
func tryNotify() error {
	allow := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	program := unix.SockFprog{Len: 1, Filter: &allow[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// MissingNotify says why the system calls of a sandbox cannot be answered by this process, in its namespaces, or nil.
func MissingNotify() *Missing { return missingNotify() }

var missingNotify = sync.OnceValue(func() *Missing {
	return decideNotify(ptraceScope(), errnoOf(thread.Run(tryNotify)))
})
