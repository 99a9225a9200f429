// This file owns the start of a detached container: the supervisor that stays behind, and how its caller learns that the
// container runs.

package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// startEvery is how often Detach looks whether the container has started.
const startEvery = 10 * time.Millisecond

// Detach starts the supervisor, a command that inherits the lock and outlives this process. It returns when the container
// has run, and copies to messages what the supervisor says until then. A supervisor that fails before is an *exec.ExitError,
// and leaves no entry of a container that never ran.
func (c *Container) Detach(ctx context.Context, supervisor *exec.Cmd, messages io.Writer) error {
	said, err := os.Create(c.path(messagesFile))
	if err != nil {
		return fmt.Errorf("making the file for messages: %w", err)
	}
	defer said.Close()
	shown, err := os.Open(c.path(messagesFile))
	if err != nil {
		return err
	}
	defer shown.Close()
	supervisor.Stderr = said
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := supervisor.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	c.lock.Close()
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Wait() }()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		_, _ = io.Copy(messages, shown)
		if c.hasRun() {
			return nil
		}
		select {
		case err := <-ended:
			_, _ = io.Copy(messages, shown)
			return c.ofEnded(err)
		case <-ctx.Done():
			_ = supervisor.Process.Signal(syscall.SIGTERM)
			<-ended
			return errors.Join(context.Cause(ctx), c.abandon(exitKilled))
		case <-tick.C:
		}
	}
}

func (c *Container) hasRun() bool { return c.reload() == nil && c.Status != StatusCreated }

// ofEnded tells a container that is over already from one that never ran. One that ran and was forgotten has no entry, and
// its supervisor did not fail.
func (c *Container) ofEnded(err error) error {
	if c.hasRun() {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		_ = c.abandon(exit.ExitCode())
	}
	return err
}
