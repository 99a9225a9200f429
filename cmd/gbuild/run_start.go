package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

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
func (a *app) enterContainer(ctx context.Context, o *runOptions, c *container) (err error) {
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
	if err := c.save(); err != nil {
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

// openContainer takes over the container that a parent registered.
func (a *app) openContainer(id string) (*container, error) {
	dir, err := a.containersDir()
	if err != nil {
		return nil, err
	}
	c := &container{dir: filepath.Join(dir, id), held: os.NewFile(lockFD, "lock")}
	syscall.CloseOnExec(lockFD)
	if err := c.reload(); err != nil {
		return nil, fmt.Errorf("reading the record of the container: %w", err)
	}
	return c, nil
}

// supervise is the process that stays behind for a detached container.
func (a *app) supervise(ctx context.Context, o *runOptions, id string) error {
	c, err := a.openContainer(id)
	if err != nil {
		return err
	}
	err = a.enterContainer(ctx, o, c)
	if c.Forget {
		c.remove()
	}
	return err
}

// detach starts a process that outlives this one, and waits until the container runs or could not be started. What
// the process says until then, it says in a file, which is shown.
func (a *app) detach(ctx context.Context, o *runOptions, c *container) error {
	said, err := os.Create(c.path("messages"))
	if err != nil {
		return fmt.Errorf("making the file for messages: %w", err)
	}
	defer said.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = shownArgs("run", "-d", "--name", c.Name)
	handed, err := a.handOn()
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), handed, containerVar+"="+c.ID)
	cmd.ExtraFiles = o.inherited(c)
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	c.held.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	shown, err := os.Open(c.path("messages"))
	if err != nil {
		return err
	}
	defer shown.Close()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		_, _ = io.Copy(a.stderr, shown)
		if c.reload() == nil && c.Status != statusCreated {
			fmt.Fprintln(a.stdout, c.ID)
			return nil
		}
		select {
		case err := <-ended:
			return a.detachFailed(c, shown, err)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-ended
			c.remove()
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// detachFailed tells a container that is over already from one that never ran.
func (a *app) detachFailed(c *container, shown io.Reader, err error) error {
	_, _ = io.Copy(a.stderr, shown)
	if c.reload() == nil && c.Status != statusCreated {
		fmt.Fprintln(a.stdout, c.ID)
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		c.remove()
		return exitStatus(exit.ExitCode())
	}
	if err == nil { // it ran and was forgotten
		fmt.Fprintln(a.stdout, c.ID)
	}
	return err
}
