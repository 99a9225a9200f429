// This file owns what goes over the control socket of a container, in both directions.

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container/copying"
)

// Command is a further command in a container that runs.
type Command struct {
	Args, Env []string // Env is added to that of the container
	Dir, User string   // Empty ones are the container's.
	Detached  bool     // it goes on when the caller does not wait for it
}

// request is one line of JSON. The descriptors of an exec come with it: a socket for the terminal, or standard input,
// output and error.
type request struct {
	Op              string // one of those below
	Signal, Timeout int
	Command
	Terminal   bool
	Rows, Cols uint16
	Begin      bool   // of opAttach: what was said before, too
	Name       string // of opRename
	Copy       copyRequest
}

const (
	opSignal = "signal"
	opStop   = "stop"
	opExec   = "exec"
	opWait   = "wait"
	opAttach = "attach"
	opRename = "rename"
	opStat   = "stat"
	opPack   = "pack"
	opUnpack = "unpack"
)

// answer is the one line that ends a request.
type answer struct {
	Error, Hint string
	Code        int
	File        copying.Info // of opStat
}

// maxRequest is the most bytes that a request may have, give or take a buffer.
const maxRequest = 1 << 20

// check refuses a request that makes no sense, or that came without its files.
func (r *request) check(files int) error {
	switch {
	case (r.Op == opSignal || r.Op == opStop) && !isSignal(r.Signal):
		return fmt.Errorf("%d is no signal", r.Signal)
	case r.Op == opSignal, r.Op == opStop, r.Op == opWait:
		return nil
	case r.Op == opRename && !IsName(r.Name):
		return &NameError{r.Name + " is no name"}
	case r.Op == opRename:
		return nil
	case r.Op == opAttach && files != 3:
		return errors.New("the request lacks its files")
	case (r.Op == opPack || r.Op == opUnpack) && files != 1:
		return errors.New("the request lacks its file")
	case r.Op == opAttach, r.Op == opPack, r.Op == opUnpack, r.Op == opStat:
		return nil
	case r.Op != opExec:
		return fmt.Errorf("unknown request %q", r.Op)
	case len(r.Args) == 0:
		return errors.New("the request lacks a command")
	case r.Terminal && files != 1, !r.Terminal && files != 3:
		return errors.New("the request lacks its files")
	}
	return nil
}

// send writes a request with its files.
func send(conn *net.UnixConn, r request, files []*os.File) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	_, _, err = conn.WriteMsgUnix(append(text, '\n'), unix.UnixRights(fds...), nil)
	return err
}

// receive reads a request and its files, which are the caller's to close, also after an error.
func receive(conn *net.UnixConn) (r request, files []*os.File, err error) {
	var text []byte
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(3*4))
	for len(text) == 0 || text[len(text)-1] != '\n' {
		n, rights, _, _, err := conn.ReadMsgUnix(buf, oob)
		received, badRights := descriptors(oob[:rights])
		files = append(files, received...)
		if err := errors.Join(err, badRights); err != nil {
			return r, files, err
		}
		if n == 0 || len(text) > maxRequest {
			return r, files, errors.New("the request is not complete")
		}
		text = append(text, buf[:n]...)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, files, fmt.Errorf("reading the request: %w", err)
	}
	return r, files, r.check(len(files))
}

// descriptors are the files that came with a message.
func descriptors(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// readAnswer returns the exit code of a command, and why it could not be run.
func readAnswer(from io.Reader) (int, error) {
	var a answer
	if err := json.NewDecoder(from).Decode(&a); err != nil {
		return 0, errors.New("the container ended")
	}
	if a.Error != "" {
		return a.Code, hint.Wrap(errors.New(a.Error), a.Hint)
	}
	return a.Code, nil
}

// socket names the control socket through an open directory, which the caller closes after its use: the path may be longer
// than the address of a socket can be.
func (c *Container) socket() (*net.UnixAddr, *os.File, error) {
	dir, err := os.Open(c.dir)
	if err != nil {
		return nil, nil, err
	}
	return &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketFile), Net: "unix"}, dir, nil
}
