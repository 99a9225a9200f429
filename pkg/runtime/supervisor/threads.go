// This file owns the threads that answer the calls of one filter: how many there are, and how each of them waits.

package supervisor

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// session is what the threads of one filter have in common.
type session struct {
	*Listener
	fd              int
	level           Level
	noNewPrivileges bool
	stopping        atomic.Bool
	stopped         chan struct{} // closed with stopping
	help            chan struct{} // each message lets one more thread answer
	threads         sync.WaitGroup
	changing        [2 * maxThreads]sync.Mutex // see alone
	mu              sync.Mutex
	tids            map[int]bool
}

// maxThreads is the most threads of a session.
const maxThreads = 8

// serve answers calls until no process has the filter any more. One thread answers all, which is the quickest as long as it keeps
// up: the kernel wakes each one that waits for each call.
func (l *Listener) serve(fd int) {
	defer unix.Close(fd)
	s := &session{
		Listener: l, fd: fd, level: l.options.Level, noNewPrivileges: l.options.NoNewPrivileges,
		stopped: make(chan struct{}), help: make(chan struct{}), tids: map[int]bool{},
	}
	wakeHere(fd)
	s.threads.Go(func() { s.answerCalls(false) })
	for range min(max(goruntime.NumCPU(), 2), maxThreads) - 1 {
		s.threads.Go(func() { s.answerCalls(true) })
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
	close(s.stopped)
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

// answerCalls is a thread. It is never unlocked, since its root is not that of other threads, and ends with the function. A
// helper answers only while there are more calls than the first thread can answer.
func (s *session) answerCalls(helper bool) {
	if helper && !s.awaitHelp() {
		return
	}
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
	if err := s.loop(c, helper); err != nil {
		s.fail(err)
	}
}

// awaitHelp waits until help is needed; false means that it never will be.
func (s *session) awaitHelp() bool {
	select {
	case <-s.help:
		return true
	case <-s.stopped:
		return false
	}
}

const (
	atOnce = 5 * time.Microsecond // A call that was there so soon has waited.
	inARow = 16                   // So many of them, or so many others, change the number of threads.
	turn   = 8 * time.Millisecond // After that time a thread gives way once.
)

// loop answers calls until the end.
func (s *session) loop(c *call, helper bool) error {
	turned, row := time.Now(), 0
	for !s.stopping.Load() {
		before := time.Now()
		// What holds its place in Go's scheduler for 10 ms is hunted by the runtime, every 20 us from then on, which costs
		// more than to give way before.
		if before.Sub(turned) > turn {
			turned = before
			goruntime.Gosched()
			before = time.Now()
		}
		switch err := receive(s.fd, &c.notification); {
		case err == nil:
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT): // the process has died meanwhile, or there is none any more
			if hungUp(s.fd, 0) {
				return nil
			}
			continue
		default:
			return err
		}
		late := time.Since(before) < atOnce
		s.answerOne(c)
		if late == helper {
			row = 0
			continue
		}
		if row++; row < inARow {
			continue
		}
		row = 0
		if helper {
			if !s.awaitHelp() {
				return nil
			}
			continue
		}
		select {
		case s.help <- struct{}{}:
		default: // all are helping
		}
	}
	return nil
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
			waits := c.waiting()
			_ = reply(s.fd, c.id, failed(unix.ENOSYS))
			if waits {
				s.fail(fmt.Errorf("entering the root of the sandbox: %w", err))
			}
			return
		}
		c.moved = true
	}
	a, err := c.answer(), error(nil)
	if !c.sent {
		err = reply(s.fd, c.id, a)
	}
	if c.done != nil {
		c.done(err == nil && a >= 0)
	}
	if c.held != nil {
		c.held.Unlock()
		c.held = nil
	}
}
