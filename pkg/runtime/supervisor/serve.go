// This file owns the life of the threads that answer: they come with the descriptor of a filter and go with its processes.

package supervisor

import (
	"errors"
	"fmt"
	"net"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

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

// session is what the threads of one filter have in common.
type session struct {
	*Listener
	fd              int
	level           Level
	noNewPrivileges bool
	stopping        atomic.Bool
	threads         sync.WaitGroup
	mu              sync.Mutex
	tids            map[int]bool
}

// serve answers calls until no process has the filter any more.
func (l *Listener) serve(fd int) {
	defer unix.Close(fd)
	s := &session{Listener: l, fd: fd, level: l.options.Level, noNewPrivileges: l.options.NoNewPrivileges, tids: map[int]bool{}}
	wakeHere(fd)
	for range min(max(goruntime.NumCPU(), 2), 4) {
		s.threads.Go(s.answerCalls)
	}
	for !s.closing.Load() {
		if hungUp(fd, 500) {
			break
		}
	}
	s.stop()
}

// hungUp says whether no process has the filter any more. It waits for that for so many milliseconds.
func hungUp(fd, milliseconds int) bool {
	poll := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(poll, milliseconds)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// stop ends the threads. One that waits in the kernel is woken by a signal, which Go's runtime uses for the like; as it
// may be on its way there, this is done until all have ended.
func (s *session) stop() {
	s.stopping.Store(true)
	done := make(chan struct{})
	go func() {
		s.threads.Wait()
		close(done)
	}()
	for {
		s.mu.Lock()
		for tid := range s.tids {
			_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
		}
		s.mu.Unlock()
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// answerCalls is a thread. It is never unlocked, since its root is not that of other threads, and ends with the function.
func (s *session) answerCalls() {
	goruntime.LockOSThread()
	tid := unix.Gettid()
	s.mu.Lock()
	s.tids[tid] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.tids, tid)
		s.mu.Unlock()
		if r := recover(); r != nil {
			s.fail(fmt.Errorf("%v", r))
		}
	}()
	if err := s.moveThread(); err != nil {
		s.fail(err)
		return
	}
	c := &call{session: s}
	defer c.known.forget()
	for !s.stopping.Load() {
		switch err := receive(s.fd, &c.notification); err {
		case nil:
			s.answerOne(c)
		case unix.EINTR:
		case unix.ENOENT: // the process has died meanwhile, or there is none any more
			if hungUp(s.fd, 0) {
				return
			}
		default:
			s.fail(err)
			return
		}
	}
}

// moveThread gives the thread a root and a working directory of its own: see the comment of the package.
func (s *session) moveThread() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("separating a thread's root: %w", err)
	}
	unix.Umask(0)
	return unix.Fchdir(s.proc)
}

func (s *session) answerOne(c *call) {
	if !c.moved {
		if err := unix.Chroot(rootOf(int(c.notification.pid))); err != nil {
			_ = reply(s.fd, c.id, failed(unix.ENOSYS))
			if c.waiting() {
				s.fail(fmt.Errorf("entering the root of the sandbox: %w", err))
			}
			return
		}
		c.moved = true
	}
	a := c.answer()
	if !c.sent {
		_ = reply(s.fd, c.id, a)
	}
}
