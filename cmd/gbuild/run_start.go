// This file owns the processes of gbuild run: the one that enters the namespaces, the supervisor of a detached container,
// and what they inherit from each other.

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

// containerVar carries the id of its container to a process that gbuild starts for it; the lock is its descriptor 3.
const containerVar = "_GBUILD_CONTAINER"

const lockFD = 3

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// enterContainer runs this command again in namespaces, with the lock of the container and the sockets of its ports.
// What the child does to the terminal is undone, however it ends.
func (a *app) enterContainer(ctx context.Context, o *runOptions, c *container.Container) (err error) {
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // Enter hands them on, and each of them
	ports, err := o.listen()
	if err != nil {
		return err
	}
	files := o.inherited(c)
	for _, p := range ports {
		files = append(files, p.file)
		c.Ports = append(c.Ports, p.String())
	}
	if err := c.Save(); err != nil {
		return err
	}
	if stdin, ok := a.stdin.(*os.File); ok {
		if saved, err := term.GetState(int(stdin.Fd())); err == nil {
			defer func() { _ = term.Restore(int(stdin.Fd()), saved) }()
		}
	}
	handed, err := a.handOn()
	if err != nil {
		return err
	}
	env := append(os.Environ(), handed, containerVar+"="+c.ID)
	group, err := a.makeCgroup(o, c)
	if err != nil {
		return err
	}
	if group != nil {
		env = append(env, cgroupVar+"="+group.Path)
		defer func() { err = errors.Join(err, group.Remove()) }()
	}
	code, err := runtime.Enter(context.WithoutCancel(ctx), runtime.EnterOptions{Args: shownArgs("run", "--name", c.Name), Env: env, Files: files})
	if err != nil || code == 0 {
		return err
	}
	return exitStatus(code)
}

// takeOverContainer takes over the container that a parent registered.
func takeOverContainer(a *app, id string) (*container.Container, error) {
	all, err := openContainers(a)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(lockFD)
	return all.TakeOver(id, os.NewFile(lockFD, "lock"))
}

// supervise is the process that stays behind for a detached container.
func (a *app) supervise(ctx context.Context, o *runOptions, id string) error {
	c, err := takeOverContainer(a, id)
	if err != nil {
		return err
	}
	err = a.enterContainer(ctx, o, c)
	if c.Forget {
		_ = c.Remove()
	}
	return err
}

// detach starts the supervisor of the container, and waits until the container runs or could not be started.
func (a *app) detach(ctx context.Context, o *runOptions, c *container.Container) error {
	handed, err := a.handOn()
	if err != nil {
		return err
	}
	supervisor := exec.Command("/proc/self/exe")
	supervisor.Args = shownArgs("run", "-d", "--name", c.Name)
	supervisor.Env = append(os.Environ(), handed, containerVar+"="+c.ID)
	supervisor.ExtraFiles = o.inherited(c)
	err = c.Detach(ctx, supervisor, a.stderr)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitStatus(exit.ExitCode())
	}
	if err == nil {
		fmt.Fprintln(a.stdout, c.ID)
	}
	return err
}
