// This file owns the processes of gbuild run: the one that the user starts, the supervisor of a detached container, and the
// one in the namespaces; and what they inherit from each other.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// launch is one gbuild run, as each of its processes sees it.
type launch struct {
	app       *app
	options   *runOptions
	container *container.Container
}

// containerVar carries the id of its container to a process that gbuild starts for it.
const containerVar = "_GBUILD_CONTAINER"

// The descriptors that a process inherits which gbuild starts for a container: its lock, and the sockets of its ports.
const (
	lockFD  = 3
	portsFD = 4
)

// environ is the environment of a process for the container, to which this one hands the command on.
func (l *launch) environ() ([]string, error) {
	handed, err := l.app.handOn()
	return append(os.Environ(), handed, containerVar+"="+l.container.ID), err
}

// goOn is the part of a process that gbuild started for the container: of the one in the namespaces, or of the supervisor.
func (l *launch) goOn(ctx context.Context, id string) error {
	all, err := openContainers(l.app)
	if err != nil {
		return err
	}
	syscall.CloseOnExec(lockFD)
	if l.container, err = all.TakeOver(id, os.NewFile(lockFD, "lock")); err != nil {
		return err
	}
	if runtime.Entered() {
		return l.runEntered(ctx)
	}
	err = l.enter(ctx)
	if l.container.Forget {
		_ = l.container.Remove()
	}
	return err
}

// detach starts the supervisor, and waits until the container runs or could not be started.
func (l *launch) detach(ctx context.Context) error {
	env, err := l.environ()
	if err != nil {
		return err
	}
	c := l.container
	supervisor := exec.Command("/proc/self/exe")
	supervisor.Args = shownArgs("run", "-d", "--name", c.Name)
	supervisor.Env, supervisor.ExtraFiles = env, []*os.File{c.Lock()}
	err = c.Detach(ctx, supervisor, l.app.stderr)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitStatus(exit.ExitCode())
	}
	if err == nil {
		fmt.Fprintln(l.app.stdout, c.ID)
	}
	return err
}

// enter runs this command again in namespaces, with the lock of the container and the sockets of its ports. What the child
// does to the terminal is undone, however it ends.
func (l *launch) enter(ctx context.Context) (err error) {
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // Enter hands them on, and each of them
	files, err := l.openPorts()
	if err != nil {
		return err
	}
	defer keepTerminal(l.app.stdin)()
	env, err := l.environ()
	if err != nil {
		return err
	}
	group, err := l.options.limits.makeCgroup(l.container.ShortID(), l.app.notice)
	if err != nil {
		return err
	}
	if group != nil {
		env = append(env, cgroupVar+"="+group.Path)
		defer func() { err = errors.Join(err, group.Remove()) }()
	}
	code, err := runtime.Enter(context.WithoutCancel(ctx), runtime.EnterOptions{Args: shownArgs("run", "--name", l.container.Name), Env: env, Files: files})
	if err != nil || code == 0 {
		return err
	}
	return exitStatus(code)
}

// openPorts returns the files that the process in the namespaces inherits, and writes the ports down.
func (l *launch) openPorts() (files []*os.File, err error) {
	ports, err := l.options.network.listen()
	if err != nil {
		return nil, err
	}
	files = []*os.File{l.container.Lock()}
	for _, p := range ports {
		files = append(files, p.file)
		l.container.Ports = append(l.container.Ports, p.String())
	}
	return files, l.container.Save()
}

// keepTerminal returns a function that makes the terminal again what it is now.
func keepTerminal(stdin any) (restore func()) {
	in, ok := stdin.(*os.File)
	if !ok {
		return func() {}
	}
	saved, err := term.GetState(int(in.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(in.Fd()), saved) }
}
