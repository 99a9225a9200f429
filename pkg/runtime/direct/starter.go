// This file owns the process that becomes the command: it takes on what the command is to be, and its place.

package direct

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
)

// starterName is the name of the process.
const starterName = "gbuild-starter"

// become ends in the command, or says on the socket why it does not. An exec closes the socket.
func become() {
	runtime.LockOSThread() // rights belong to a thread
	closeOnExec()
	socket := os.NewFile(socketFD, "socket")
	var c Command
	refused := startError("reading the command", json.NewDecoder(socket).Decode(&c))
	if refused == nil {
		refused = c.become()
	}
	_ = json.NewEncoder(socket).Encode(refused)
	os.Exit(126)
}

// closeOnExec leaves the command nothing but its streams.
func closeOnExec() {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// become returns only with an error. What needs rights comes before they are given up.
func (c *Command) become() *StartError {
	thread.DefaultSignals()
	unix.Umask(0o022)
	if c.Root != "" && c.Root != "/" {
		if err := unix.Chroot(c.Root); err != nil {
			return startError("changing the root directory to "+c.Root, err)
		}
	}
	if err := unix.Chdir(c.Dir); err != nil {
		return startError("changing to the working directory "+c.Dir, err)
	}
	for _, l := range c.Limits {
		if err := unix.Setrlimit(l.Kind, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}); err != nil {
			return startError("setting a limit", err)
		}
	}
	if err := boundCapabilities(c.Capabilities); err != nil {
		return startError("giving up capabilities", err)
	}
	if err := c.becomeUser(); err != nil {
		return startError("becoming the user", err)
	}
	if c.NoNewRights {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return startError("setting no_new_privs", err)
		}
	}
	// A change of the user forgets this.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	os.Clearenv()
	for _, e := range c.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			os.Setenv("PATH", path)
		}
	}
	name, err := exec.LookPath(c.Args[0])
	if err != nil {
		return startError("starting the command", err)
	}
	return startError("starting the command "+name, unix.Exec(name, c.Args, c.Env))
}

// becomeUser changes groups and user. It is done by the kernel's calls, for this thread only, which is the one that becomes the command.
func (c *Command) becomeUser() error {
	groups := []uint32{}
	for _, g := range c.Groups {
		groups = append(groups, uint32(g))
	}
	if !slices.Contains(groups, uint32(c.GID)) {
		groups = append(groups, uint32(c.GID))
	}
	if err := setgroups(groups); err != nil {
		return err
	}
	if _, _, err := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(c.GID), uintptr(c.GID), uintptr(c.GID)); err != 0 {
		return err
	}
	if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(c.UID), uintptr(c.UID), uintptr(c.UID)); err != 0 {
		return err
	}
	return nil
}

// boundCapabilities keeps all capabilities but these from this process and what it starts. One that may not change that has what the
// place gives it.
func boundCapabilities(keep []int) error {
	for c := 0; ; c++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil { // the kernel knows no more of them
			return nil
		}
		if held == 0 || slices.Contains(keep, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EPERM {
			return err
		}
	}
}

// startError words an error; nil where there is none.
func startError(doing string, err error) *StartError {
	if err == nil {
		return nil
	}
	refused := &StartError{Doing: doing, Text: err.Error()}
	switch {
	case errors.As(err, &refused.Errno):
	case errors.Is(err, exec.ErrNotFound):
		refused.Errno = syscall.ENOENT
	case errors.Is(err, os.ErrPermission):
		refused.Errno = syscall.EACCES
	}
	return refused
}

// setgroups is for the calling thread only, unlike the function of the library.
func setgroups(groups []uint32) error {
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, err := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(first), 0); err != 0 {
		return err
	}
	return nil
}
