// This file owns the way into namespaces of our own, from the side of the process that starts it. The other side is init.go;
// early.c does both in front of Go for `gbuild build` and `gbuild run`.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// EnterOptions says how Enter starts this program again.
type EnterOptions struct {
	Args  []string   // the arguments, name first; os.Args when nil
	Env   []string   // the environment; this process's when nil
	Files []*os.File // further files for the child, from descriptor 3 on
}

// Enter starts this program again in a user and a mount namespace of its own, where it is uid 0 with every
// capability and Entered is true, hands signals on to it, and returns its exit code (128+n when signal n ended it).
// What the host lacks for that is a *Missing error. When ctx ends, the child is killed.
func Enter(ctx context.Context, o EnterOptions) (code int, err error) {
	maps, err := mapsHere()
	if err != nil {
		return 0, err
	}
	// The death signal below belongs to the thread that forks, not to the process.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT, unix.SIGWINCH)
	defer signal.Stop(signals)
	cmd, gate, err := startMapped(ctx, o, maps)
	if err != nil {
		return 0, err
	}
	defer gate.Close()
	done := make(chan struct{})
	defer close(done)
	go forward(signals, cmd.Process, done)
	return exitCode(cmd.Wait())
}

// startMapped starts the child with the best of the maps that can be had. One that is half mapped cannot be mapped otherwise,
// so each try has a child of its own.
func startMapped(ctx context.Context, o EnterOptions, maps []*idMaps) (cmd *exec.Cmd, gate *os.File, err error) {
	o.Files = withInherited(o.Files)
	for _, m := range maps {
		if cmd, gate, err = stage(ctx, o); err != nil {
			return nil, nil, err
		}
		if err = startStage(cmd, m, gate); err == nil {
			return cmd, gate, nil
		}
		gate.Close()
	}
	return nil, nil, err
}

// stage prepares the child; the gate is the end of the pipe on which it waits for its maps.
func stage(ctx context.Context, o EnterOptions) (*exec.Cmd, *os.File, error) {
	args, env := o.Args, o.Env
	if args == nil {
		args = os.Args
	}
	if env == nil {
		env = os.Environ()
	}
	r, gate, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making a pipe: %w", err)
	}
	cmd := exec.CommandContext(ctx, selfExe)
	cmd.Args = args
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = append(slices.Clone(o.Files), r)
	cmd.Env = append(slices.Clone(env), stageVar+"="+strconv.Itoa(2+len(cmd.ExtraFiles)))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		// Exec by a user id that is not mapped yet drops all capabilities but the ambient ones.
		AmbientCaps: allCaps(),
		Pdeathsig:   unix.SIGKILL,
	}
	return cmd, gate, nil
}

// withInherited adds to files, which become the descriptors from 3 on, those that this process inherited at the next
// numbers: what follows must not take the place of one that the command line names, as /dev/fd/3.
func withInherited(files []*os.File) []*os.File {
	all := slices.Clone(files)
	for fd := 3 + len(files); ; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			return all
		}
		all = append(all, os.NewFile(uintptr(fd), "inherited"))
	}
}

// startStage starts the child, maps its ids and lets it go on.
func startStage(cmd *exec.Cmd, maps *idMaps, gate *os.File) error {
	err := cmd.Start()
	cmd.ExtraFiles[len(cmd.ExtraFiles)-1].Close() // the child's end of the pipe
	if err != nil {
		return startFailure(err)
	}
	if err := maps.apply(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return mapFailure(err)
	}
	_, err = gate.Write([]byte{1})
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("releasing the child: %w", err)
	}
	return nil
}

// forward hands signals to the child. A terminal has sent its own to the child already, which is in the same
// process group, and a second one would look as if the user had insisted.
func forward(signals <-chan os.Signal, p *os.Process, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			fromTerminal := s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGWINCH || s == unix.SIGCONT
			if fromTerminal && inForeground() {
				continue
			}
			_ = p.Signal(s)
		}
	}
}

// inForeground says whether this process is in the foreground group of its terminal.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	pgrp, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}

// exitCode is the code by which this process can end as its child did.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if err == nil {
		return 0, nil
	}
	if !errors.As(err, &exit) {
		return 0, fmt.Errorf("waiting for the child in its namespaces: %w", err)
	}
	ws := exit.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// allCaps lists every capability that the running kernel knows.
func allCaps() []uintptr {
	last := 40 // CAP_CHECKPOINT_RESTORE, Linux 5.9
	if b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		_, _ = fmt.Sscan(string(b), &last)
	}
	caps := make([]uintptr, 0, last+1)
	for c := range last + 1 {
		caps = append(caps, uintptr(c))
	}
	return caps
}
