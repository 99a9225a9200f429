// This file owns what is known of the processes that a proot traces, and how one is started: by this program again, which
// hides those system calls from the command that proot does not know.

package tracer

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// processName is the name of the process that becomes a proot.
const processName = "gbuild-tracer"

// unknownCalls are system calls that take paths, or make processes, and are younger than proot 5.1. A path in one would be taken
// for a path of the host. A C library does without those that a kernel does not have.
var unknownCalls = []uint32{unix.SYS_STATX, unix.SYS_OPENAT2, unix.SYS_FACCESSAT2, unix.SYS_FCHMODAT2, unix.SYS_CLONE3, unix.SYS_EXECVEAT,
	unix.SYS_OPEN_TREE, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_IO_URING_SETUP,
	unix.SYS_SETXATTRAT, unix.SYS_GETXATTRAT, unix.SYS_LISTXATTRAT, unix.SYS_REMOVEXATTRAT}

// Start ends this process in a proot, where a Command has started it. It comes before anything else that a program does.
func Start() {
	if len(os.Args) < 2 || os.Args[0] != processName {
		return
	}
	runtime.LockOSThread() // the filter belongs to the thread
	err := hideCalls(unknownCalls)
	if err == nil {
		err = unix.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "gbuild: error: starting proot:", err)
	os.Exit(126)
}

// hideCalls lets the kernel answer system calls as if it did not have them. A filter is inherited, and stays.
func hideCalls(calls []uint32) error {
	const number, arch = 0, 4 // offsets in struct seccomp_data
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	answer := func(what uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: what}
	}
	program := []unix.SockFilter{load(arch), {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch(), Jt: 1}, answer(unix.SECCOMP_RET_ALLOW), load(number)}
	for _, call := range calls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1}, answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	}
	program = append(program, answer(unix.SECCOMP_RET_ALLOW))
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0); err != nil {
		return fmt.Errorf("setting a filter of system calls: %w", err)
	}
	return nil
}

// auditArch is the number by which a filter knows the processor that this program is for.
func auditArch() uint32 {
	if runtime.GOARCH == "arm64" {
		return unix.AUDIT_ARCH_AARCH64
	}
	return unix.AUDIT_ARCH_X86_64
}

// tracedBy lists the processes that a process traces.
func tracedBy(tracer int) (all []int) {
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil && statusOf(pid, "TracerPid") == strconv.Itoa(tracer) {
			all = append(all, pid)
		}
	}
	return all
}

// isAlive says whether a process is there that has not ended.
func isAlive(pid int) bool {
	state := statusOf(pid, "State")
	return state != "" && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// statusOf reads a line of /proc/PID/status; it is empty where the process is gone.
func statusOf(pid int, field string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
