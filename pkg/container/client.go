// This file owns what a stranger to the container can ask of it.

package container

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Stop asks the container to end, kills it after some seconds, or never where timeout is negative, and returns when it is
// over.
func (c *Container) Stop(ask syscall.Signal, timeout int) error {
	if c.Status == StatusExited {
		return nil
	}
	if err := c.request(request{Op: opStop, Signal: int(ask), Timeout: timeout}); err != nil && c.Alive() {
		return err
	}
	return c.Wait()
}

// Signal sends a signal to the command of the container.
func (c *Container) Signal(s syscall.Signal) error {
	return c.request(request{Op: opSignal, Signal: int(s)})
}

// ExitedWith waits until the container is over, and returns the code with which it ended.
func (c *Container) ExitedWith() (int, error) {
	conn, err := c.ask(request{Op: opWait})
	if err == nil {
		defer conn.Close()
		var a answer
		if json.NewDecoder(conn).Decode(&a) == nil {
			return a.Code, c.Wait()
		}
	}
	// It is over already, was killed, or is not there yet: then its record says so once nobody holds the lock.
	if err := c.Wait(); err != nil {
		return 0, err
	}
	if err := c.reload(); err != nil {
		return 0, err
	}
	c.catchUp()
	return c.ExitCode, nil
}

// Attach lends the container files: what comes from the first reaches its command, and what the command says goes to the others.
// With fromBegin that is also what it said before, unless somebody was attached then.
func (c *Container) Attach(stdin, stdout, stderr *os.File, fromBegin bool) (*Execution, error) {
	conn, err := c.ask(request{Op: opAttach, Begin: fromBegin}, stdin, stdout, stderr)
	if err != nil {
		return nil, err
	}
	return &Execution{conn}, nil
}

func (c *Container) request(r request) error {
	conn, err := c.ask(r)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = readAnswer(conn)
	return err
}

// ask sends a request, and leaves the connection open for the answer.
func (c *Container) ask(r request, files ...*os.File) (*net.UnixConn, error) {
	address, dir, err := c.socket()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	conn, err := net.DialUnix("unix", nil, address)
	if err != nil {
		return nil, hint.Errorf("gbuild ps lists those that run", "container %s is not running", c.Name)
	}
	if err := send(conn, r, files); err != nil {
		conn.Close()
		return nil, fmt.Errorf("asking container %s: %w", c.Name, err)
	}
	return conn, nil
}

// Execution is a further command in a container, from the caller's side. When the caller closes it, the command is killed.
type Execution struct{ conn *net.UnixConn }

// Exec starts a further command, which is lent the caller's standard input, output and error.
func (c *Container) Exec(command Command, stdin, stdout, stderr *os.File) (*Execution, error) {
	conn, err := c.ask(request{Op: opExec, Command: command}, stdin, stdout, stderr)
	if err != nil {
		return nil, err
	}
	return &Execution{conn}, nil
}

// ExecTerminal starts a further command on a new terminal, and returns the other end of that. The terminal is nil where the
// command could not be started; then Wait says why.
func (c *Container) ExecTerminal(command Command, size runtime.TerminalSize) (*Execution, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket for the terminal: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "console"), os.NewFile(uintptr(fds[1]), "console")
	defer ours.Close()
	conn, err := c.ask(request{Op: opExec, Command: command, Terminal: true, Rows: size.Rows, Cols: size.Cols}, theirs)
	theirs.Close()
	if err != nil {
		return nil, nil, err
	}
	terminal, err := runtime.ReceiveFile(ours)
	if err != nil {
		terminal = nil
	}
	return &Execution{conn}, terminal, nil
}

// Signal passes a signal on to the command.
func (e *Execution) Signal(s syscall.Signal) { _, _ = e.conn.Write([]byte{byte(s)}) }

// SetSize says how large the terminal of who is attached has become.
func (e *Execution) SetSize(size runtime.TerminalSize) {
	_, _ = e.conn.Write(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{sizeMark}, size.Rows), size.Cols))
}

// Wait returns when the command has ended. A command that fails, or could not be run, is a *runtime.ExitError.
func (e *Execution) Wait() error {
	code, err := readAnswer(e.conn)
	if code != 0 {
		return &runtime.ExitError{Code: code, Err: err}
	}
	return err
}

// Close lets go of the command.
func (e *Execution) Close() error { return e.conn.Close() }
