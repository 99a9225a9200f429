// This file owns the container's end of the control socket: it reads each request, has it carried out, and answers.

package container

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container/copying"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// handler carries out requests that are whole.
type handler interface {
	signal(s syscall.Signal) error
	stop(ask syscall.Signal, timeout int) error
	exec(ctx context.Context, r request, files []*os.File, started func(signal func(os.Signal) error)) error
	wait(ctx context.Context) error
	attach(ctx context.Context, r request, files []*os.File) error
	setSize(runtime.TerminalSize)
	rename(name string) error
	copy(r request, files []*os.File) (copying.Info, error)
}

// server is the listening end of the socket.
type server struct {
	*net.UnixListener
	answers *sync.WaitGroup
}

// patience is how long the end of a container waits for who does not read what it said last.
const patience = 5 * time.Second

// drain waits for the requests that are being answered.
func (s *server) drain() {
	done := make(chan struct{})
	go func() { defer close(done); s.answers.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// serve answers requests to the container until it is closed.
func serve(c *Container, h handler) (*server, error) {
	address, dir, err := c.socket()
	if err != nil {
		return nil, fmt.Errorf("making the socket of the container: %w", err)
	}
	defer dir.Close()
	l, err := net.ListenUnix("unix", address)
	if err != nil {
		return nil, fmt.Errorf("making the socket of the container: %w", err)
	}
	l.SetUnlinkOnClose(false)
	answers := &sync.WaitGroup{}
	go func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			answers.Go(func() { answerOne(conn, h) })
		}
	}()
	return &server{l, answers}, nil
}

func answerOne(conn *net.UnixConn, h handler) {
	defer conn.Close()
	r, files, err := receive(conn)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var file copying.Info
	if err == nil && (r.Op == opStat || r.Op == opPack || r.Op == opUnpack) {
		file, err = h.copy(r, files)
	} else if err == nil {
		err = carryOut(conn, h, r, files)
	}
	a := answerFor(err)
	a.File = file
	_ = json.NewEncoder(conn).Encode(a)
}

func answerFor(err error) (a answer) {
	var exit *runtime.ExitError
	if errors.As(err, &exit) {
		a.Code, err = exit.Code, exit.Err
	}
	if err != nil {
		a.Error, a.Hint = err.Error(), hint.Of(err)
		if a.Code == 0 {
			a.Code = exitNotRun
		}
	}
	return a
}

// carryOut does what is asked. A command is killed when the caller goes away, unless it is detached.
func carryOut(conn *net.UnixConn, h handler, r request, files []*os.File) error {
	switch r.Op {
	case opSignal:
		return h.signal(syscall.Signal(r.Signal))
	case opStop:
		return h.stop(syscall.Signal(r.Signal), r.Timeout)
	case opRename:
		return h.rename(r.Name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ofContainer := func(s os.Signal) error { return h.signal(s.(syscall.Signal)) }
	switch r.Op {
	case opWait:
		go follow(conn, ofContainer, h.setSize, cancel)
		return h.wait(ctx)
	case opAttach:
		go follow(conn, ofContainer, h.setSize, cancel)
		return h.attach(ctx, r, files)
	}
	return h.exec(ctx, r, files, func(signal func(os.Signal) error) {
		if !r.Detached {
			go follow(conn, signal, func(runtime.TerminalSize) {}, cancel)
		}
	})
}

// sizeMark comes before the size of a terminal, in the place of a signal.
const sizeMark = 0

// follow passes on what comes after the request until the caller is gone: signals, a byte each, and sizes of a terminal.
func follow(conn *net.UnixConn, signal func(os.Signal) error, setSize func(runtime.TerminalSize), gone func()) {
	defer gone()
	in := bufio.NewReader(conn)
	for {
		b, err := in.ReadByte()
		if err != nil {
			return
		}
		if b != sizeMark {
			_ = signal(syscall.Signal(b))
			continue
		}
		var size runtime.TerminalSize
		if err := binary.Read(in, binary.BigEndian, &size); err != nil {
			return
		}
		setSize(size)
	}
}
