// This file owns the socket to which descriptors of filters are sent, and the end of all that answers.

package supervisor

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Listener answers the calls of a sandbox.
type Listener struct {
	options Options
	socket  *net.UnixListener
	proc    int // /proc of this process
	ids     registry
	strange atomic.Bool
	closing atomic.Bool
	work    sync.WaitGroup
}

// Options are what a Listener is told.
type Options struct {
	Level           Level
	NoNewPrivileges bool        // programs do not make who executes them somebody else
	OwnRoots        bool        // processes may have roots and mounts of their own from the beginning
	MknodWithheld   bool        // root makes devices also without CAP_MKNOD, which was kept from it so that the kernel makes none
	Failed          func(error) // It is called where calls cannot be answered any more. The processes must be ended then.
}

// Listen makes a socket at path, to which the descriptors of filters are sent, and answers the calls that come by them until
// Close.
func Listen(path string, o Options) (*Listener, error) {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /proc to answer system calls: %w", err)
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		unix.Close(proc)
		return nil, fmt.Errorf("making a socket for answers to system calls: %w", err)
	}
	l := &Listener{options: o, socket: socket, proc: proc}
	l.strange.Store(o.OwnRoots)
	l.work.Go(l.accept)
	return l, nil
}

// Close ends all threads. Calls that come afterwards fail, so the processes must have ended.
func (l *Listener) Close() error {
	l.closing.Store(true)
	err := l.socket.Close()
	l.work.Wait()
	return errors.Join(err, unix.Close(l.proc))
}

// User is the value that RLIMIT_LOCKS of a process must have, before its filter is made, to become that user by its first exec.
func (l *Listener) User(uid, gid uint32, groups []uint32) uint64 {
	return l.ids.numberOf(credentialsOf(uid, gid, groups)) + awaitingFirst
}

// accept takes descriptors and starts threads for each.
func (l *Listener) accept() {
	for {
		conn, err := l.socket.AcceptUnix()
		if err != nil {
			return // by Close
		}
		fd, err := receiveDescriptor(conn)
		conn.Close()
		if err != nil {
			l.fail(err)
			continue
		}
		l.work.Go(func() { l.serve(fd) })
	}
}

func (l *Listener) fail(err error) {
	if !l.closing.Load() && l.options.Failed != nil {
		l.options.Failed(fmt.Errorf("answering system calls of the sandbox: %w", err))
	}
}

// receiveDescriptor reads the message that libcontainer sends with a descriptor, and gives the descriptor.
func receiveDescriptor(conn *net.UnixConn) (int, error) {
	text, rights := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(text, rights)
	if err != nil {
		return -1, fmt.Errorf("receiving the descriptor of a filter: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("receiving the descriptor of a filter: %d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("receiving the descriptor of a filter: %d descriptors, %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}
