// This file owns the life of a container: its starts, its restarts, what its record says meanwhile, and what is done when another
// process asks for a stop, a signal or one more command (server.go reads what is asked).

package container

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Process is the command of a container while it runs; *runtime.Process is one.
type Process interface {
	Pid() int
	Signal(os.Signal) error
	Exec(context.Context, runtime.ExecOptions) error
}

// Session is a container from its first start to its last end. The caller fills in all that is exported.
type Session struct {
	Container *Container
	Relay     *Relay
	Restart   Restart
	// Once runs the command to its end, and calls started when it runs.
	Once func(ctx context.Context, in Input, started func(Process)) error
	// Streams are those of a detached container; nil where the caller's own files are the command's.
	Streams *Streams
	// Expected says that somebody is about to attach, who is to hear all: a command that has ended before waits for that.
	Expected bool
	// User finds the user of a further command in the image; the empty name is the user of the container.
	User   func(name string) (runtime.Identity, error)
	Notice func(text string) // It is told what goes wrong beside the command.
	Check  *HealthCheck      // nil: nobody looks whether the container is well

	mu       sync.Mutex
	process  Process             // It is nil while none runs.
	ask      func(Process) error // It asks the command to end; it is nil until somebody wants the container to stop.
	stopping chan struct{}       // It is closed when ask is set.
	over     chan struct{}       // It is closed after the last end.
	noting   sync.Mutex          // It is held while the record is changed and written.
}

// Input is what comes to the command by the Streams of its container; without these it has nothing.
type Input struct {
	Stdin  io.Reader
	Resize <-chan runtime.TerminalSize
}

// Run runs the command, again where the policy says so, and serves the control socket until the last end. It returns how
// the command ended last.
func (s *Session) Run(ctx context.Context) error {
	s.stopping, s.over = make(chan struct{}), make(chan struct{})
	control, err := serve(s.Container, s)
	if err != nil {
		return err
	}
	defer func() {
		if s.Expected {
			s.Streams.awaitGuest()
		}
		close(s.over)
		control.Close()
		control.drain() // who waits for the end hears of it
	}()
	return s.runAgain(ctx)
}

// runAgain runs the command until it is not run again.
func (s *Session) runAgain(ctx context.Context) error {
	for pause := time.Duration(0); ; {
		begin := time.Now()
		s.Relay.start()
		in, err := s.input()
		if err == nil {
			err = s.runOnce(ctx, in)
		}
		s.ended(err)
		if ctx.Err() != nil || s.isStopping() || !s.restarts(err) {
			return err
		}
		pause = pauseAfter(time.Since(begin), pause)
		s.note(func(c *Container) {
			c.Status = StatusRestarting
			c.Restarts++
		})
		select {
		case <-ctx.Done():
			return err
		case <-s.stopping:
			s.note(func(c *Container) { c.Status = StatusExited })
			return err
		case <-time.After(pause):
		}
	}
}

// runOnce runs the command, and the checks beside it.
func (s *Session) runOnce(ctx context.Context, in Input) error {
	watched, stop := context.WithCancel(ctx)
	var checks sync.WaitGroup
	defer checks.Wait()
	defer stop()
	return s.Once(ctx, in, func(p Process) {
		s.started(p)
		if s.Check != nil {
			checks.Go(func() { s.watch(watched, p) })
		}
	})
}

// input is what the command reads this time.
func (s *Session) input() (in Input, err error) {
	if s.Streams != nil {
		in.Stdin, in.Resize, err = s.Streams.begin()
	}
	return in, err
}

// restarts says whether a command that ended is run again. One that could not be started will not be.
func (s *Session) restarts(err error) bool {
	var exit *runtime.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Err != nil) {
		return false
	}
	return s.Restart.again(err != nil, s.Container.Restarts)
}

// started is called each time that the command runs.
func (s *Session) started(p Process) {
	s.mu.Lock()
	s.process = p
	ask := s.ask
	s.mu.Unlock()
	s.Relay.to(p)
	s.note(func(c *Container) { c.Status, c.Started, c.Pid = StatusRunning, time.Now(), p.Pid() })
	if ask != nil { // the request came while the command was on its way
		_ = ask(p)
	}
}

// ended writes down how the command ended. A container that never ran stays as it was: nobody asks for it.
func (s *Session) ended(err error) {
	s.Relay.to(nil)
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	if s.Container.Status == StatusCreated { // nobody else writes to it yet
		s.Container.ExitCode, s.Container.Error = endOf(err)
		return
	}
	s.note(func(c *Container) {
		c.ExitCode, c.Error = endOf(err)
		c.Status, c.Finished, c.Pid = StatusExited, time.Now(), 0
	})
}

// endOf is how the record words an end.
func endOf(err error) (code int, text string) {
	var exit *runtime.ExitError
	if errors.As(err, &exit) {
		return exit.Code, ""
	} else if err != nil {
		return ExitNotStarted, err.Error()
	}
	return 0, ""
}

// note changes the record, and writes it.
func (s *Session) note(change func(*Container)) {
	s.noting.Lock()
	defer s.noting.Unlock()
	change(s.Container)
	if err := s.Container.Save(); err != nil {
		s.Notice(err.Error())
	}
}

func (s *Session) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return s.Relay.stopped()
	}
}

func (s *Session) running() Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

var errNotRunning = errors.New("the container is not running")

// wait implements handler: it returns after the last end, or when the caller is gone.
func (s *Session) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.over:
	}
	if code := s.Container.ExitCode; code != 0 {
		return &runtime.ExitError{Code: code}
	}
	return nil
}

// attach implements handler: it returns after the last end, or when the caller is gone.
func (s *Session) attach(ctx context.Context, r request, files []*os.File) error {
	if s.Streams == nil {
		return hint.Errorf("gbuild exec runs a further command in it", "container %s reads and writes the files of who started it", s.Container.Name)
	}
	leave := s.Streams.attach(files[0], files[1], files[2], r.Begin, ctx.Done())
	defer leave()
	return s.wait(ctx)
}

// setSize implements handler.
func (s *Session) setSize(size runtime.TerminalSize) {
	if s.Streams != nil {
		s.Streams.setSize(size)
	}
}

// rename implements handler.
func (s *Session) rename(name string) error {
	s.note(func(c *Container) { c.Name = name })
	return nil
}

// signal implements handler.
func (s *Session) signal(sig syscall.Signal) error {
	p := s.running()
	if p == nil {
		return errNotRunning
	}
	return p.Signal(sig)
}

// stop implements handler. Between two starts the container has stopped, and stays so.
func (s *Session) stop(ask syscall.Signal, timeout int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ask == nil {
		close(s.stopping)
	}
	s.ask = func(p Process) error { return askToEnd(p, ask, timeout) }
	if s.process == nil {
		return nil
	}
	return s.ask(s.process)
}

// askToEnd sends the signal that asks, and after some seconds the one that kills.
func askToEnd(p Process, ask syscall.Signal, timeout int) error {
	if timeout >= 0 {
		time.AfterFunc(time.Duration(timeout)*time.Second, func() { _ = p.Signal(syscall.SIGKILL) })
	}
	if err := p.Signal(ask); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// exec implements handler.
func (s *Session) exec(ctx context.Context, r request, files []*os.File, started func(signal func(os.Signal) error)) error {
	p := s.running()
	if p == nil {
		return errNotRunning
	}
	id, err := s.User(r.User)
	if err != nil {
		return err
	}
	o := runtime.ExecOptions{Args: r.Args, Env: r.Env, Dir: r.Dir, UID: id.UID, GID: id.GID, Groups: id.Groups,
		Size: runtime.TerminalSize{Rows: r.Rows, Cols: r.Cols}, Started: started}
	if r.Terminal {
		o.Console = files[0]
	} else {
		o.Stdin, o.Stdout, o.Stderr = files[0], files[1], files[2]
	}
	return p.Exec(ctx, o)
}
