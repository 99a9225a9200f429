package runtime

import (
	"context"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// Process is the first process of a sandbox that runs.
type Process struct {
	run       *run
	container *libcontainer.Container
	process   *libcontainer.Process
}

// Pid is the number of the process where the caller is.
func (p *Process) Pid() int {
	pid, err := p.process.Pid()
	if err != nil {
		return 0
	}
	return pid
}

// Signal sends a signal to the first process; after SIGKILL none of the sandbox is left.
func (p *Process) Signal(sig os.Signal) error { return p.process.Signal(sig) }

// ExecOptions describe a further process in a sandbox.
type ExecOptions struct {
	Args, Env             []string // Env is added to that of the first process
	Dir                   string   // "": as the first process
	UID, GID              int
	Groups                []int
	Stdin, Stdout, Stderr *os.File
	Console               *os.File // a Unix socket that gets the master of a new terminal, in place of the three files
	Size                  TerminalSize
	Started               func(signal func(os.Signal) error) // may be nil
}

// Exec runs a further process in the sandbox to its end. A command that fails is an *ExitError.
func (p *Process) Exec(ctx context.Context, o ExecOptions) error {
	goruntime.LockOSThread() // see execute
	defer goruntime.UnlockOSThread()
	env, err := p.run.environ()
	if err != nil {
		return err
	}
	if o.UID != p.run.UID {
		env = slices.DeleteFunc(slices.Clone(env), isHome)
		home, err := homeOf(p.run.tree.open, o.UID)
		if err != nil {
			return err
		}
		env = append(env, "HOME="+home)
	}
	lp := &libcontainer.Process{
		Args: o.Args, Env: append(slices.Clone(env), o.Env...), Cwd: o.Dir, UID: o.UID, GID: o.GID, AdditionalGroups: slices.Clone(o.Groups),
		ConsoleSocket: o.Console, ConsoleHeight: o.Size.Rows, ConsoleWidth: o.Size.Cols,
	}
	if lp.Cwd == "" {
		lp.Cwd = p.run.Dir
	}
	if lp.Cwd == "" {
		lp.Cwd = "/"
	}
	if o.Console == nil {
		in, err := pipeFrom(o.Stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		lp.Stdin, lp.Stdout, lp.Stderr = in, copied(o.Stdout), copied(o.Stderr)
	}
	if err := p.container.Run(lp); err != nil {
		return explainStart(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = lp.Signal(unix.SIGKILL) })
	defer stop()
	if o.Started != nil {
		o.Started(lp.Signal)
	}
	return exitError(lp.Wait())
}

// pipeFrom gives a pipe of our own with what comes from r: waiting for a process must not wait for a reader that has
// nothing to say, and a file given to it would be given to the sandbox's user by chown.
func pipeFrom(r io.Reader) (*os.File, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	go func() {
		defer out.Close()
		_, _ = io.Copy(out, r)
	}()
	return in, nil
}
