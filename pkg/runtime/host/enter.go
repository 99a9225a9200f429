// This file owns the way into namespaces of our own, from the side of the process that starts it. The other side is init.go;
// early.c does both in front of Go for `gbuild build` and `gbuild run`.

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
)

// EnterOptions says how Enter starts this program again.
type EnterOptions struct {
	Isolation Isolation  // how sandboxes shall be made there; only ways that are made of namespaces
	Args      []string   // the arguments, name first; os.Args when nil
	Env       []string   // the environment; this process's when nil
	Files     []*os.File // further files for the child, from descriptor 3 on
	Handed    []*os.File // follow them, and are the child's alone: here they are closed when it has them
}

// Enter starts this program again in a user and a mount namespace of its own, where it is uid 0 with every
// capability and Entered is true, hands signals on to it, and returns its exit code (128+n when signal n ended it).
// What the host lacks for that is a *Missing error. When ctx ends, the child is killed.
func Enter(ctx context.Context, o EnterOptions) (code int, err error) {
	ways, missing := waysInto(o.Isolation)
	if missing != nil {
		return 0, missing
	}
	err = thread.Run(func() (err error) {
		code, err = enterBy(ctx, o, ways)
		return err
	})
	return code, err
}

// enterBy is Enter on a thread that ends with it: the death signal of the child belongs to the thread that forks, and so does a /proc
// that is uncovered.
func enterBy(ctx context.Context, o EnterOptions, ways []way) (code int, err error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, HandedOn()...)
	defer signal.Stop(signals)
	s, refused := startBest(ctx, o, ways)
	if s == nil {
		return 0, lacking(refused)
	}
	defer s.gate.Close()
	for _, f := range o.Handed {
		f.Close()
	}
	done := make(chan struct{})
	defer close(done)
	go forward(signals, s.cmd.Process, done)
	return exitCode(s.cmd.Wait())
}

// stage is the child on its way into the namespaces. Through the gate it learns that its ids are mapped, and says what became
// of its mounts.
type stage struct {
	cmd  *exec.Cmd
	gate *os.File
}

// startBest starts the child on the best way that is open. What is half done cannot be done otherwise, so each try has a child of
// its own. The refusal is that of a better way, if there was one.
//
// The thread of the caller must end with the child.
func startBest(ctx context.Context, o EnterOptions, ways []way) (s *stage, refused *refusal) {
	uncoverProc()
	o.Files = withInherited(slices.Concat(o.Files, o.Handed))
	if o.Env == nil {
		o.Env = os.Environ()
	}
	for _, w := range ways {
		env := o.Env
		if refused != nil {
			env = append(slices.Clone(env), whyVar+"="+cause(refused).words())
		}
		s, next := startStage(ctx, o.Args, env, o.Files, w)
		if next == nil {
			return s, refused
		}
		refused = further(refused, next)
	}
	return nil, refused
}

// startStage starts the child, maps its ids and waits until its mounts are its own.
func startStage(ctx context.Context, args, env []string, files []*os.File, w way) (*stage, *refusal) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, refusedAt(stepNone, fmt.Errorf("making a pair of sockets: %w", err))
	}
	gate, theirs := os.NewFile(uintptr(ends[0]), "gate"), os.NewFile(uintptr(ends[1]), "gate")
	s := &stage{prepareStage(ctx, args, env, append(slices.Clone(files), theirs), w), gate}
	err = s.cmd.Start()
	theirs.Close()
	if err != nil {
		gate.Close()
		return nil, refusedAt(stepClone, err)
	}
	refused := s.release(w)
	if refused != nil {
		gate.Close()
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		return nil, refused
	}
	return s, nil
}

// prepareStage describes the child; the last of the files is its end of the gate.
func prepareStage(ctx context.Context, args, env []string, files []*os.File, w way) *exec.Cmd {
	if args == nil {
		args = os.Args
	}
	cmd := exec.CommandContext(ctx, SelfExe)
	cmd.Args = args
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	kind := bareStage
	if w.maps != nil {
		kind = mappedStage
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		// Exec by a user id that is not mapped yet drops all capabilities but the ambient ones.
		cmd.SysProcAttr.AmbientCaps = allCaps()
	}
	cmd.Env = append(slices.Clone(env), fmt.Sprintf("%s=%d %s", stageVar, 2+len(files), kind))
	return cmd
}

// release maps the ids of the child, lets it go on, and hears whether it could.
func (s *stage) release(w way) *refusal {
	if w.maps != nil {
		if err := w.maps.apply(s.cmd.Process.Pid); err != nil {
			var refused *refusal
			if errors.As(err, &refused) {
				return refused
			}
			return refusedAt(stepMap, err)
		}
	}
	answer := make([]byte, 1)
	if _, err := s.gate.Write(answer); err != nil {
		return refusedAt(stepNone, fmt.Errorf("releasing the child: %w", err))
	}
	if _, err := io.ReadFull(s.gate, answer); err != nil {
		return &refusal{at: stepNone, err: errors.New("the process in the new namespaces ended at once")}
	}
	if answer[0] != 0 {
		return refusedAt(stepMount, syscall.Errno(answer[0]))
	}
	return nil
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

// HandedOn are the signals that a process hands on to the one in the namespaces, and that one to a container's command: all but
// those of the kernel to this process itself (its children, its pipes, its own faults), those of job control, and the ones that the
// C library and Go keep for themselves (SIGURG, SIGPROF). early.c has the same ones.
func HandedOn() []os.Signal {
	list := []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTRAP, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM, unix.SIGSTKFLT,
		unix.SIGCONT, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGWINCH, unix.SIGIO, unix.SIGPWR, unix.SIGSYS}
	for s := firstRealtime; s <= lastRealtime; s++ {
		list = append(list, s)
	}
	return list
}

// The signals of real time; Go does not hear of the one before these.
const firstRealtime, lastRealtime = syscall.Signal(35), syscall.Signal(64)

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
