// This file owns the reaper: a first process that waits for orphans and hands signals on, for commands that do neither. It is this
// program again.

package runtime

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// reaperPath is where a sandbox with a Reaper has this program.
const reaperPath = "/run/gbuild-init"

// copyReaper copies this program to where it can be bound from: the sealed memory that it runs from cannot.
func copyReaper(dir string) (Mount, error) {
	own := filepath.Join(dir, "init")
	src, err := os.Open(host.SelfExe)
	if err != nil {
		return Mount{}, fmt.Errorf("opening own program: %w", err)
	}
	defer src.Close()
	if program, err := elf.NewFile(src); err == nil && slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return Mount{}, &host.Missing{What: "this gbuild is linked to shared libraries, which an image does not have, so it cannot be the first process",
			Remedy: "use a release, or build gbuild statically: -ldflags '-extldflags -static'"}
	}
	dst, err := os.OpenFile(own, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return Mount{}, fmt.Errorf("copying own program: %w", err)
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Chmod(0o755), dst.Close()); err != nil {
		return Mount{}, fmt.Errorf("copying own program: %w", err)
	}
	return Mount{Type: "bind", Source: own, Target: reaperPath, ReadOnly: true}, nil
}

// reap is the first process of a sandbox: it starts the command in a process group of its own, passes signals on to
// it, waits for every orphan, and ends with the command's code.
func reap(args []string) int {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // where it has not the number 1, the kernel gives it no orphans by itself
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	name, err := exec.LookPath(args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		fmt.Fprintf(os.Stderr, "gbuild: error: starting the command: %v\n", err)
		if errors.Is(err, os.ErrPermission) {
			return 126
		}
		return 127
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Foreground, attr.Ctty = true, 0
	}
	child, err := os.StartProcess(name, args, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: attr})
	if err != nil {
		fmt.Fprintf(os.Stderr, "gbuild: error: starting the command: %v\n", err)
		return 126
	}
	go func() {
		for s := range signals {
			if s != unix.SIGCHLD && s != unix.SIGURG && s != unix.SIGTTOU && s != unix.SIGTTIN {
				_ = child.Signal(s)
			}
		}
	}()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 1
		case pid == child.Pid && ws.Signaled():
			return 128 + int(ws.Signal())
		case pid == child.Pid:
			return ws.ExitStatus()
		}
	}
}
