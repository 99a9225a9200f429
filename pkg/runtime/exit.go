// This file owns how a command ends, or why it could not begin.

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// ExitError is a command that did not end with 0.
type ExitError struct {
	Code   int            // the code that a shell gives it: 128+n for a signal, 127 not found, 126 not executable
	Signal syscall.Signal // the signal that ended it, or 0
	Err    error          // the reason why it could not be started, else nil
}

// Error implements error.
func (e *ExitError) Error() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return "killed by " + e.Signal.String()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Unwrap gives the reason for which the command could not be started.
func (e *ExitError) Unwrap() error { return e.Err }

// exitError says how the wait for a command ended.
func exitError(state *os.ProcessState, err error) error {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("waiting for the command: %w", err)
	}
	return exitOf(state.Sys().(syscall.WaitStatus))
}

// exitOf is nil for a command that ended well.
func exitOf(ws syscall.WaitStatus) error {
	switch {
	case ws.Signaled():
		return &ExitError{Code: 128 + int(ws.Signal()), Signal: ws.Signal()}
	case ws.ExitStatus() != 0:
		return &ExitError{Code: ws.ExitStatus()}
	}
	return nil
}

// startError distinguishes a command that is not there, what the host does not allow, and the rest. The errors of a
// container's init arrive as text.
func startError(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "executable file not found") || strings.Contains(text, "exec: ") && strings.Contains(text, "no such file or directory"):
		return &ExitError{Code: 127, Err: fmt.Errorf("starting the command: %w", err)}
	case strings.Contains(text, "exec: ") && (strings.Contains(text, "permission denied") || strings.Contains(text, "is a directory")):
		return &ExitError{Code: 126, Err: fmt.Errorf("starting the command: %w", err)}
	case strings.Contains(text, "unshare user namespace"):
		return &host.Missing{What: "the user of the sandbox cannot be the user of the host: that takes another user namespace", Remedy: "leave out --userns=keep-id", Cause: err}
	case strings.Contains(text, "unshare remaining namespaces"): // a network of none has a namespace, too
		if err := network.TryNamespace(); err != nil {
			return host.NoNetworkNamespace(err)
		}
	}
	return fmt.Errorf("starting the sandbox: %w", err)
}
