package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// request is what is asked of a container through its socket. The files of an exec come with it: a socket for the
// terminal, or standard input, output and error.
type request struct {
	Op                 string // signal, stop or exec
	Signal             int
	Timeout            int
	Args, Env          []string
	Dir, User          string
	Terminal, Detached bool
	Rows, Cols         uint16
}

// answer is the last thing that the container says to a request.
type answer struct {
	Error, Hint string
	Code        int
}

const maxRequest = 1 << 20

// socketPath names the container's socket through an open directory: the path may be longer than an address can be.
func (c *container) socketPath() (string, *os.File, error) {
	dir, err := os.Open(c.dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/control", dir.Fd()), dir, nil
}

// listen serves the container's socket until it is closed.
func (s *session) listen() (io.Closer, error) {
	path, dir, err := s.container.socketPath()
	if err != nil {
		return nil, fmt.Errorf("making the socket of the container: %w", err)
	}
	defer dir.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("making the socket of the container: %w", err)
	}
	l.SetUnlinkOnClose(false)
	go func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return l, nil
}

func (s *session) serve(conn *net.UnixConn) {
	defer conn.Close()
	r, files, err := receive(conn)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var reply answer
	if err == nil {
		err = s.do(conn, r, files)
	}
	var exit *runtime.ExitError
	if errors.As(err, &exit) {
		reply.Code = exit.Code
		err = exit.Err
	}
	if err != nil {
		reply.Error, reply.Hint = err.Error(), hint.Of(err)
		if reply.Code == 0 {
			reply.Code = exitNotRun
		}
	}
	_ = json.NewEncoder(conn).Encode(reply)
}

// receive reads a request, which ends with a newline, and its files.
func receive(conn *net.UnixConn) (r request, files []*os.File, err error) {
	var text []byte
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(3*4))
	for len(text) == 0 || text[len(text)-1] != '\n' {
		n, on, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return r, files, err
		}
		if n == 0 || len(text) > maxRequest {
			return r, files, errors.New("the request is not complete")
		}
		text = append(text, buf[:n]...)
		messages, err := unix.ParseSocketControlMessage(oob[:on])
		if err != nil {
			return r, files, err
		}
		for _, m := range messages {
			fds, err := unix.ParseUnixRights(&m)
			if err != nil {
				return r, files, err
			}
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				files = append(files, os.NewFile(uintptr(fd), "received"))
			}
		}
	}
	return r, files, json.Unmarshal(text, &r)
}

func (s *session) do(conn *net.UnixConn, r request, files []*os.File) error {
	s.mu.Lock()
	p := s.process
	if r.Op == "stop" && !s.stopping {
		s.stopping = true
		close(s.stop)
	}
	s.mu.Unlock()
	if p == nil && r.Op == "stop" {
		return nil
	}
	if p == nil {
		return errors.New("the container is not running")
	}
	switch r.Op {
	case "signal":
		return p.Signal(syscall.Signal(r.Signal))
	case "stop":
		if r.Timeout >= 0 {
			time.AfterFunc(time.Duration(r.Timeout)*time.Second, func() { _ = p.Signal(syscall.SIGKILL) })
		}
		if err := p.Signal(syscall.Signal(r.Signal)); !errors.Is(err, os.ErrProcessDone) { // between two starts it has stopped
			return err
		}
		return nil
	case "exec":
		return s.exec(conn, p, r, files)
	}
	return fmt.Errorf("unknown request %q", r.Op)
}

// exec runs a further command. When the caller goes away it is killed.
func (s *session) exec(conn *net.UnixConn, p *runtime.Process, r request, files []*os.File) error {
	o := runtime.ExecOptions{Args: r.Args, Env: r.Env, Dir: r.Dir, UID: s.box.UID, GID: s.box.GID, Groups: s.box.Groups,
		Size: runtime.TerminalSize{Rows: r.Rows, Cols: r.Cols}}
	if r.User != "" {
		id, err := runtime.LookupUser(s.view.Follow, r.User)
		if err != nil {
			return err
		}
		o.UID, o.GID, o.Groups = id.UID, id.GID, id.Groups
	}
	switch {
	case r.Terminal && len(files) == 1:
		o.Console = files[0]
	case !r.Terminal && len(files) == 3:
		o.Stdin, o.Stdout, o.Stderr = files[0], files[1], files[2]
	default:
		return errors.New("the request lacks its files")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !r.Detached {
		o.Started = func(signal func(os.Signal) error) { go follow(conn, signal, cancel) }
	}
	return p.Exec(ctx, o)
}

// follow passes on the signals that come after the request, a byte each, until the caller is gone.
func follow(conn *net.UnixConn, signal func(os.Signal) error, gone func()) {
	var b [1]byte
	for {
		if _, err := conn.Read(b[:]); err != nil {
			gone()
			return
		}
		_ = signal(syscall.Signal(b[0]))
	}
}

// ask sends a request to the container and leaves the connection open for the answer.
func (c *container) ask(r request, files ...*os.File) (*net.UnixConn, error) {
	path, dir, err := c.socketPath()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, hint.Errorf("gbuild ps lists those that run", "container %s is not running", c.Name)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if _, _, err := conn.WriteMsgUnix(append(b, '\n'), unix.UnixRights(fds...), nil); err != nil {
		conn.Close()
		return nil, fmt.Errorf("asking container %s: %w", c.Name, err)
	}
	return conn, nil
}

// reply reads the answer.
func reply(conn *net.UnixConn) (int, error) {
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return 0, errors.New("the container ended")
	}
	if a.Error != "" {
		return a.Code, hint.Wrap(errors.New(a.Error), a.Hint)
	}
	return a.Code, nil
}
