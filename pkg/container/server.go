// This file owns the container's end of the control socket: it reads each request, has it carried out, and answers.

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// handler carries out requests that are whole.
type handler interface {
	signal(s syscall.Signal) error
	stop(ask syscall.Signal, timeout int) error
	exec(ctx context.Context, r request, files []*os.File, started func(signal func(os.Signal) error)) error
}

// serve answers requests to the container until the closer is closed.
func serve(c *Container, h handler) (io.Closer, error) {
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
	go func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			go answerOne(conn, h)
		}
	}()
	return l, nil
}

func answerOne(conn *net.UnixConn, h handler) {
	defer conn.Close()
	r, files, err := receive(conn)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err == nil {
		err = carryOut(conn, h, r, files)
	}
	_ = json.NewEncoder(conn).Encode(answerFor(err))
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
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return h.exec(ctx, r, files, func(signal func(os.Signal) error) {
		if !r.Detached {
			go follow(conn, signal, cancel)
		}
	})
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
