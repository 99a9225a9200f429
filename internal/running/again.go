// This file owns the ways to a container that was there before: it is started again, or the caller's terminal is connected with it.

package running

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// StartOptions say how a container is started again.
type StartOptions struct {
	Attached bool // the caller is about to attach to it
	Once     bool // whatever --restart said, it ends with its command: the caller sees to the rest
}

// Start starts a container again that is over, and returns when it runs. One that runs is left alone. Who attaches to it next
// hears all that it says.
func Start(ctx context.Context, a *cli.App, c *container.Container, o StartOptions) error {
	p, err := planOf(c)
	if err != nil {
		return err
	}
	if err := c.Reopen(); errors.Is(err, container.ErrRunning) {
		return nil
	} else if err != nil {
		return err
	}
	state, err := a.StateDir()
	if err != nil {
		return err
	}
	a.GoOnAs(p.Handed)
	l := &launch{app: a, container: c}
	env := append(p.environ(os.Environ()), "GBUILD_ROOT="+state)
	if o.Attached {
		env = append(env, attachedVar+"=1")
	}
	if o.Once {
		env = append(env, onceVar+"=1")
	}
	return l.supervise(ctx, p.Dir, env)
}

// CanStart says why a container cannot be started again.
func CanStart(c *container.Container) error { _, err := planOf(c); return err }

// supervise starts the supervisor, and waits until the container runs or could not be started.
func (l *launch) supervise(ctx context.Context, dir string, base []string) error {
	env, err := l.environ(base)
	if err != nil {
		return err
	}
	supervisor := exec.Command("/proc/self/exe")
	// The flags are handed on in memory: they may have secrets, and others can read the arguments of a process.
	supervisor.Args = cli.ShownArgs("run", "-d", "--name", l.container.Name)
	supervisor.Env, supervisor.Dir, supervisor.ExtraFiles = env, dir, []*os.File{l.container.Lock()}
	err = l.container.Detach(ctx, supervisor, l.app.Stderr)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return cli.ExitStatus(exit.ExitCode())
	}
	return err
}

// AttachOptions say how the caller is connected with a container.
type AttachOptions struct {
	Input    bool   // what the caller types reaches the command, if the container has an input
	SigProxy bool   // signals are handed on, if the command has no terminal
	Keys     string // those by which the caller leaves; "" are docker's
	Begin    bool   // what was said before, too
}

// Attach connects the caller's files or terminal with the command of a container, until it ends, whose error is returned, or until
// the caller leaves.
func Attach(a *cli.App, c *container.Container, o AttachOptions) error {
	keys, err := cli.ParseDetachKeys(cmp.Or(o.Keys, cli.DefaultDetachKeys))
	if err != nil {
		return err
	}
	input := o.Input && c.Interactive
	if c.TTY && input && !cli.IsTerminal(a.Stdin) {
		return hint.Errorf("leave out the input (--no-stdin), or run it in a terminal", "the input device is not a TTY")
	}
	stdin, typed, err := inputPipe(input)
	if err != nil {
		return err
	}
	defer typed.Close()
	restore := func() {}
	var e *container.Execution
	if c.TTY {
		t, undo, err := cli.OpenTerminal(a.Stdin, a.RawOut, input)
		if err != nil {
			return errors.Join(err, stdin.Close())
		}
		restore = undo
		defer restore()
		if e, err = c.Attach(stdin, a.RawOut, a.RawErr, o.Begin); err == nil {
			e.SetSize(t.Size)
			go func() {
				for size := range t.Resize {
					e.SetSize(size)
				}
			}()
		}
	} else {
		e, err = c.Attach(stdin, a.RawOut, a.RawErr, o.Begin)
	}
	stdin.Close() // the container has it
	if err != nil {
		return err
	}
	defer e.Close()
	if o.SigProxy && !c.TTY {
		defer cli.PassOn(e.Signal, host.HandedOn()...)()
	}
	left := make(chan error, 1)
	if input {
		go func() { left <- pass(typed, a.Stdin, keys, c.TTY) }()
	}
	ended := make(chan error, 1)
	go func() {
		err := e.Wait()
		ended <- errors.Join(err, c.Wait()) // until all of its processes have gone
	}()
	for {
		select {
		case err := <-ended:
			return err
		case err := <-left:
			if errors.Is(err, cli.ErrDetached) {
				restore()
				fmt.Fprintln(a.Stderr, err)
				return nil
			}
			left = nil
		}
	}
}

// inputPipe is what the container reads, and where that is written; nothing is where there is no input.
func inputPipe(input bool) (stdin, typed *os.File, err error) {
	if input {
		return os.Pipe()
	}
	if stdin, err = os.Open(os.DevNull); err != nil {
		return nil, nil, err
	}
	if typed, err = os.Open(os.DevNull); err != nil {
		return nil, nil, errors.Join(err, stdin.Close())
	}
	return stdin, typed, nil
}

// pass hands on what is typed. Only who has a terminal leaves by keys.
func pass(to io.WriteCloser, from io.Reader, keys []byte, terminal bool) error {
	if terminal {
		from = cli.UntilDetached(from, keys)
	}
	_, err := io.Copy(to, from)
	return errors.Join(err, to.Close())
}
