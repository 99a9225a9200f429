// This file owns what a place needs and no installed program does: filters of system calls, which stand for policies that this
// machine does not have, and a namespace with every id.

package testplaces

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rule answers a system call with an error. Where mask is not 0, only calls whose argument has one of its bits.
type rule struct {
	call  uint32
	arg   uint32
	mask  uint32
	errno unix.Errno
}

// filters are what a place's filter(NAME) can name.
var filters = map[string][]rule{
	// Ubuntu's AppArmor profile for unprivileged user namespaces lets them be made, and refuses what is done in them.
	"no-mounts": {
		{call: unix.SYS_MOUNT, errno: unix.EACCES}, {call: unix.SYS_OPEN_TREE, errno: unix.EACCES}, {call: unix.SYS_MOVE_MOUNT, errno: unix.EACCES},
		{call: unix.SYS_FSOPEN, errno: unix.EACCES}, {call: unix.SYS_FSCONFIG, errno: unix.EACCES}, {call: unix.SYS_FSMOUNT, errno: unix.EACCES},
		{call: unix.SYS_FSPICK, errno: unix.EACCES}, {call: unix.SYS_MOUNT_SETATTR, errno: unix.EACCES},
	},
	// A process that is watched already by a supervisor of system calls cannot have another.
	"no-supervisor": {{call: unix.SYS_SECCOMP, arg: 1, mask: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, errno: unix.EBUSY}},
}

// The first argument by which this binary is no test.
const (
	filterWord = "behind-filter" // BINARY behind-filter NAME COMMAND... executes the command behind a filter
	idsWord    = "with-all-ids"  // BINARY with-all-ids COMMAND... executes it in a user namespace with every id of this one
)

func TestMain(m *testing.M) {
	var err error
	switch word := append(os.Args, "")[1]; word {
	default:
		code := m.Run()
		ownEngine.Stop()
		os.Exit(code)
	case filterWord:
		err = executeBehind(filters[os.Args[2]], os.Args[3:])
	case idsWord:
		err = executeWithAllIDs(os.Args[2:])
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "making the place:", err)
		os.Exit(125)
	}
}

// executeWithAllIDs is unshare(1) with a map that is too long for it.
func executeWithAllIDs(command []string) error {
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1<<32 - 1}}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true}
	return cmd.Run()
}

// executeBehind replaces this process. It needs root, so that programs with setuid keep their rights behind the filter.
func executeBehind(rules []rule, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	program := compile(rules)
	runtime.LockOSThread()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return err
	}
	return syscall.Exec(path, command, os.Environ())
}

// compile makes the rules a program of the kernel's: the first that matches answers, and else the call is allowed.
func compile(rules []rule) (program []unix.SockFilter) {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	for _, r := range rules {
		answer := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(r.errno)}
		program = append(program, load(0))
		if r.mask == 0 {
			program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: r.call, Jf: 1}, answer)
			continue
		}
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: r.call, Jf: 3}, load(16+8*r.arg),
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: r.mask, Jf: 1}, answer)
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}
