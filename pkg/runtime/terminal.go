// This file owns the pseudo-terminal of a sandbox. The container's init makes it and hands its master over a socket; here it is
// copied from and to.

package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct{ Rows, Cols uint16 }

// Terminal asks for a pseudo-terminal of the sandbox's own. Its other end is copied from Stdin and to Stdout.
type Terminal struct {
	Size   TerminalSize        // the size that it begins with
	Resize <-chan TerminalSize // new sizes; may be nil
}

// console is the way on which the master of a terminal comes from the container's init.
type console struct {
	ours, theirs *os.File      // the ends of the socket
	master       *os.File      // nil until it has come
	copied       chan struct{} // It is closed when all output is copied.
}

// newConsole makes the socket. It must be closed.
func newConsole() (*console, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket for the terminal: %w", err)
	}
	return &console{ours: os.NewFile(uintptr(fds[0]), "console"), theirs: os.NewFile(uintptr(fds[1]), "console"), copied: make(chan struct{})}, nil
}

// attach receives the master, once the container has started, and copies until the last process that has the
// terminal is gone.
func (c *console) attach(t *Terminal, in io.Reader, out io.Writer) error {
	c.theirs.Close()
	master, err := ReceiveFile(c.ours)
	if err != nil {
		return fmt.Errorf("receiving the terminal: %w", err)
	}
	c.master = master
	if in != nil {
		go func() { _, _ = io.Copy(master, in) }()
	}
	go func() {
		defer close(c.copied)
		if out == nil {
			out = io.Discard
		}
		_, _ = io.Copy(out, master)
	}()
	go func() {
		for size := range t.Resize {
			_ = SetTerminalSize(master, size)
		}
	}()
	return nil
}

// finish waits for what is left of the output.
func (c *console) finish() {
	if c.master != nil {
		<-c.copied
	}
}

func (c *console) close() {
	c.ours.Close()
	c.theirs.Close()
	if c.master != nil {
		c.master.Close()
	}
}

// SetTerminalSize sets the size of the terminal of which f is one end.
func SetTerminalSize(f *os.File, s TerminalSize) error {
	return unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
}

// ReceiveFile receives one descriptor from a Unix socket.
func ReceiveFile(socket *os.File) (*os.File, error) {
	text, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), text, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("no descriptor came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "received"), nil
}
