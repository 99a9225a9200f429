// This file owns what a caller can do with a sandbox that runs.

package runtime

import (
	"context"
	"os"
)

// Process is the first process of a sandbox that runs.
type Process struct {
	first interface {
		Pid() (int, error)
		Signal(os.Signal) error
	}
	exec func(context.Context, ExecOptions) error
}

// Pid is the number of the process where the caller is.
func (p *Process) Pid() int {
	pid, err := p.first.Pid()
	if err != nil {
		return 0
	}
	return pid
}

// Signal sends a signal to the first process; after SIGKILL none of the sandbox is left.
func (p *Process) Signal(sig os.Signal) error { return p.first.Signal(sig) }

// ExecOptions describe a further process in a sandbox.
type ExecOptions struct {
	Args, Env             []string // the command, and what is added to the environment of the first process
	Dir                   string   // the working directory; "" is that of the first process
	UID, GID              int
	Groups                []int
	Stdin, Stdout, Stderr *os.File
	Console               *os.File                           // a Unix socket that gets the master of a new terminal, in place of the three files
	Size                  TerminalSize                       // the size of that terminal
	Started               func(signal func(os.Signal) error) // It is called once the process runs; it may be nil.
}

// Exec runs a further process in the sandbox to its end. A command that fails is an *ExitError.
func (p *Process) Exec(ctx context.Context, o ExecOptions) error { return p.exec(ctx, o) }
