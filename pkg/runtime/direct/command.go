// This file owns a command from the side of who starts it.

package direct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a command, and who and what it is when it begins.
type Command struct {
	Root         string   // the directory that becomes its root by chroot(2); "" or "/" for none
	Dir          string   // the working directory in that root
	Args, Env    []string // Args[0] is looked up in the PATH of Env
	UID, GID     int
	Groups       []int
	Capabilities []int // those that it, and what it starts, can have at most
	Limits       []Limit
	NoNewRights  bool   // no program that it starts has more rights than it
	Devices      string // a directory that is not the command's: in the end it is what it was; "" for none

	Stdin          io.Reader `json:"-"`
	Stdout, Stderr io.Writer `json:"-"`
}

// Limit is a limit of resources, as setrlimit(2) has it.
type Limit struct {
	Kind       int
	Soft, Hard uint64
}

// StartError says why a command could not be started.
type StartError struct {
	Doing string        // what was being done
	Errno syscall.Errno // 0 where it is no error of the kernel's
	Text  string
}

// Error implements error.
func (e *StartError) Error() string { return e.Doing + ": " + e.Text }

// Unwrap gives the error of the kernel.
func (e *StartError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// ended is what the watcher says in the end: how the command ended, or why it did not start.
type ended struct {
	Status  uint32
	Refused *StartError
	Left    string // why the directory of devices is not what it was
}

// stopWord asks the watcher to end the command.
const stopWord = 't'

// Run runs the command, and ends what it leaves. When the context ends, the command gets a SIGTERM, and all that is left after the grace a
// SIGKILL.
func (c *Command) Run(ctx context.Context, grace time.Duration) (syscall.WaitStatus, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("making a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "socket"), os.NewFile(uintptr(ends[1]), "socket")
	defer ours.Close()
	cmd := &exec.Cmd{Path: selfExe, Args: []string{watcherName, grace.String()}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{theirs},
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, fmt.Errorf("starting the process that watches a command: %w", err)
	}
	end, err := c.converse(ctx, ours)
	// What is left of the output is read, too: nobody is left who could write more.
	if waited := cmd.Wait(); err == nil && waited != nil {
		err = fmt.Errorf("waiting for the process that watches a command: %w", waited)
	}
	if err == nil && end.Refused != nil {
		return 0, end.Refused
	}
	if err == nil && end.Left != "" {
		err = fmt.Errorf("making %s what it was before the command: %s", c.Devices, end.Left)
	}
	return syscall.WaitStatus(end.Status), err
}

// converse tells the watcher what to do, and hears what came of it.
func (c *Command) converse(ctx context.Context, socket *os.File) (end ended, err error) {
	if err := json.NewEncoder(socket).Encode(c); err != nil {
		return end, fmt.Errorf("describing a command: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _, _ = socket.Write([]byte{stopWord}) })
	defer stop()
	err = json.NewDecoder(socket).Decode(&end)
	if errors.Is(err, io.EOF) {
		err = errors.New("the process that watches the command has been killed")
	}
	return end, err
}

// selfExe is this program.
const selfExe = "/proc/self/exe"
