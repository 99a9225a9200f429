// This file owns what the kernel says and is told through the descriptor of a filter: see seccomp_unotify(2).

package supervisor

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif of linux/seccomp.h.
type notification struct {
	id    uint64
	pid   uint32 // of the thread that made the call
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// handover is struct seccomp_notif_addfd.
type handover struct {
	id       uint64
	flags    uint32
	ours     uint32
	theirs   uint32
	newFlags uint32
}

// answer is what a call gives back: a result, or an error as a negative number.
type answer int64

// proceed leaves the call to the kernel.
const proceed answer = math.MinInt64

// failed is the answer that an error is. What is no error of the kernel's does not occur.
func failed(err error) answer {
	if errno, ok := err.(unix.Errno); ok { //nolint:errorlint // Calls of package unix give the number itself.
		return answer(-int64(errno))
	}
	return answer(-int64(unix.EIO))
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// receive waits for a call.
func receive(fd int, n *notification) error {
	*n = notification{}
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
}

// reply ends a call. It fails where the call has ended already.
func reply(fd int, id uint64, a answer) error {
	r := response{id: id}
	switch {
	case a == proceed:
		r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	case a < 0:
		r.errno = int32(a)
	default:
		r.value = int64(a)
	}
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
}

// replyFile ends a call with a descriptor of the process for the file that is open here.
func replyFile(fd int, id uint64, file int, closeOnExec bool) error {
	h := handover{id: id, flags: unix.SECCOMP_ADDFD_FLAG_SEND, ours: uint32(file)}
	if closeOnExec {
		h.newFlags = unix.O_CLOEXEC
	}
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&h))
}

// waiting says whether a call is still waiting for its answer.
func waiting(fd int, id uint64) bool {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id)) == nil
}

// wakeHere lets the kernel run whoever waits on the processor on which it was woken (Linux 6.6): the two never run at once.
func wakeHere(fd int) {
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
}
