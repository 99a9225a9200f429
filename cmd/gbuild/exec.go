// This file owns gbuild exec: a further command in a container, on the caller's files or terminal. The container starts it;
// this process lends it what it reads and writes, hands signals on, and ends with its code.

package main

import (
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// execOptions are the flags, which mean what they mean for gbuild run.
type execOptions struct {
	env                      []string
	user, workdir            string
	interactive, tty, detach bool
}

// newExecCommand takes the flags before the container only: what follows belongs to the command.
func newExecCommand(a *cli.App) *cobra.Command {
	o := &execOptions{}
	c := &cobra.Command{
		Use: "exec [flags] CONTAINER COMMAND [ARG...]", Short: "Run a further command in a container", Args: cobra.MinimumNArgs(2),
		Example: "  gbuild exec -it api bash",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.ContainerExit(execCommand(a, o, args[0], args[1:]))
		},
	}
	f := c.Flags()
	// Everything behind the container's name is the command's, also what looks like a flag of ours.
	f.SetInterspersed(false)
	f.BoolVarP(&o.interactive, "interactive", "i", false, "pass standard input on")
	f.BoolVarP(&o.tty, "tty", "t", false, "give the command a terminal")
	f.BoolVarP(&o.detach, "detach", "d", false, "do not wait for the command")
	f.VarP((*cli.List)(&o.env), "env", "e", "NAME=VALUE, or NAME to pass the caller's (repeatable)")
	f.StringVarP(&o.user, "user", "u", "", "user (name or uid[:gid])")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	return c
}

// execCommand asks the container. The caller's environment is read here, for the container has one of its own.
func execCommand(a *cli.App, o *execOptions, name string, args []string) error {
	if o.tty && o.interactive && !cli.IsTerminal(a.Stdin) {
		return hint.Errorf("leave out -t, or run it in a terminal", "the input device is not a TTY")
	}
	c, err := findContainer(a, name)
	if err != nil {
		return err
	}
	command := container.Command{Args: args, Env: a.Environ.Passed(o.env), Dir: o.workdir, User: o.user, Detached: o.detach}
	if o.tty {
		// TERM comes first, so that -e TERM=… of the caller overrides it.
		command.Env = append([]string{"TERM=xterm"}, command.Env...)
		return execTerminal(a, o, c, command)
	}
	return execPlain(a, o, c, command)
}

// execPlain lends the command this process's own files. In the place of those that it is not lent
// it gets /dev/null.
func execPlain(a *cli.App, o *execOptions, c *container.Container, command container.Command) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	stdin, stdout, stderr := null, null, null
	if in, ok := a.Stdin.(*os.File); ok && o.interactive {
		stdin = in
	}
	if !o.detach {
		stdout, stderr = a.RawOut, a.RawErr
	}
	e, err := c.Exec(command, stdin, stdout, stderr)
	if err != nil || o.detach {
		return err
	}
	defer e.Close()
	return waitExec(e, host.HandedOn())
}

// execTerminal connects the caller's terminal with that of the command.
func execTerminal(a *cli.App, o *execOptions, c *container.Container, command container.Command) error {
	t, restore, err := cli.OpenTerminal(a.Stdin, a.RawOut, o.interactive)
	if err != nil {
		return err
	}
	defer restore()
	e, master, err := c.ExecTerminal(command, t.Size)
	if err != nil {
		return err
	}
	defer e.Close()
	if master == nil { // it did not start, and the answer says why
		return e.Wait()
	}
	defer master.Close()
	if o.interactive {
		// Nobody waits for this goroutine: it may sit in a read of the terminal when the command has ended.
		go func() { _, _ = io.Copy(master, a.Stdin) }()
	}
	go func() {
		for size := range t.Resize {
			_ = runtime.SetTerminalSize(master, size)
		}
	}()
	copied := make(chan struct{})
	go func() { defer close(copied); _, _ = io.Copy(a.RawOut, master) }()
	// A change of size comes by the terminal.
	err = waitExec(e, slices.DeleteFunc(host.HandedOn(), func(s os.Signal) bool { return s == syscall.SIGWINCH }))
	<-copied // the rest of the output comes after the end
	return err
}

// waitExec waits for the end of the command, and passes signals on to it.
func waitExec(e *container.Execution, signals []os.Signal) error {
	defer cli.PassOn(e.Signal, signals...)()
	return e.Wait()
}
