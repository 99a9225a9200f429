package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

func halfOfMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit) / 2
}

// runEntered runs the container; this process is in its namespaces and holds the container's lock.
func (a *app) runEntered(ctx context.Context, o *runOptions, c *container, name string, command []string) (err error) {
	relay := newRelay()
	ctx, stop := relay.start(context.WithoutCancel(ctx))
	defer stop()
	store, err := a.openStore(a.notice)
	if err != nil {
		return err
	}
	defer store.Close()
	img, err := a.findImage(ctx, store, o, name)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	d, err := openDraft(ctx, store, img)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Discard()) }()
	box, err := a.sandbox(ctx, o, c, &config.Config, d.Lower())
	if err != nil {
		return err
	}
	release, err := a.bindVolumes(ctx, box, d.Lower())
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return err
	}
	c.StopSignal = cmp.Or(o.stopSignal, config.Config.StopSignal, "SIGTERM")
	c.Command = box.Args
	s := &session{app: a, container: c, box: box, relay: relay, view: d.Lower(), terminal: o.tty, input: o.interactive,
		stop: make(chan struct{})}
	if s.restart, err = parseRestart(o.restart); err != nil {
		return err
	}
	return s.inDraft(ctx, d)
}

// session is a container from its first start to its last end.
type session struct {
	*app
	container       *container
	box             *runtime.Sandbox
	relay           *relay
	view            *layers.View
	restart         restartPolicy
	terminal, input bool
	log             *logFile

	mu       sync.Mutex
	process  *runtime.Process
	stopping bool
	stop     chan struct{} // closed when gbuild stop has asked
}

func (s *session) inDraft(ctx context.Context, d *layers.Draft) (err error) {
	if s.box.Root, err = d.Mount(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	if s.box.KeepID != nil {
		if err := giveToUser(s.view, s.box.Root, s.box.KeepID); err != nil {
			return err
		}
	}
	s.box.StateDir = d.Private()
	restore, err := s.connect()
	if err != nil {
		return err
	}
	defer restore()
	control, err := s.listen()
	if err != nil {
		return err
	}
	defer control.Close()
	s.box.Started = s.started
	return s.loop(ctx)
}

// connect gives the command its input and output: the caller's, or a log.
func (s *session) connect() (restore func(), err error) {
	restore = func() {}
	if s.container.Detached {
		if s.log, err = openLog(s.container.path("log")); err != nil {
			return nil, err
		}
		s.box.Stdout, s.box.Stderr = s.log.stream("stdout"), s.log.stream("stderr")
		if s.terminal {
			s.box.Terminal = &runtime.Terminal{Size: runtime.TerminalSize{Rows: 24, Cols: 80}}
		}
		return func() { s.log.Close() }, nil
	}
	s.box.Stdout, s.box.Stderr = s.rawOut, s.rawErr
	if s.input {
		s.box.Stdin = s.stdin
	}
	if s.terminal {
		s.box.Terminal, restore, err = openTerminal(s.stdin, s.rawOut, s.input)
	}
	return restore, err
}

// started is called each time that the command runs.
func (s *session) started(p *runtime.Process) {
	s.mu.Lock()
	s.process = p
	s.container.Status, s.container.Started, s.container.Pid = statusRunning, time.Now(), p.Pid()
	s.mu.Unlock()
	s.relay.to(p)
	if err := s.container.save(); err != nil {
		s.notice(err.Error())
	}
}

// loop runs the command, again where the restart policy says so.
func (s *session) loop(ctx context.Context) error {
	wait := 100 * time.Millisecond
	for {
		begin := time.Now()
		s.relay.starting()
		err := s.box.Run(ctx)
		s.ended(err)
		if ctx.Err() != nil || s.isStopping() || !s.restart.again(err, s.container.Restarts) {
			return err
		}
		if time.Since(begin) > 10*time.Second {
			wait = 100 * time.Millisecond
		}
		s.container.Status = statusRestarting
		s.container.Restarts++
		_ = s.container.save()
		select {
		case <-ctx.Done():
			return err
		case <-s.stop:
			s.container.Status = statusExited
			return errors.Join(err, s.container.save())
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Minute)
	}
}

// ended writes down how the command ended. A container that never ran stays as it was: nobody asks for it.
func (s *session) ended(err error) {
	s.relay.to(nil)
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	var exit *runtime.ExitError
	c := s.container
	c.ExitCode, c.Error = 0, ""
	if errors.As(err, &exit) {
		c.ExitCode = exit.Code
	} else if err != nil {
		c.ExitCode, c.Error = exitContainer, err.Error()
	}
	if c.Status == statusCreated {
		return
	}
	c.Status, c.Finished, c.Pid = statusExited, time.Now(), 0
	if err := c.save(); err != nil {
		s.notice(err.Error())
	}
}

func (s *session) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping || s.relay.stopped()
}

// restartPolicy is a parsed --restart.
type restartPolicy struct {
	always, onFailure bool
	times             int // of onFailure; 0 is without end
}

func parseRestart(text string) (restartPolicy, error) {
	name, times, counted := strings.Cut(text, ":")
	p := restartPolicy{always: name == "always" || name == "unless-stopped", onFailure: name == "on-failure"}
	if !p.always && !p.onFailure && name != "no" && name != "" {
		return p, usagef("--restart %s: it is no, on-failure[:TIMES], always or unless-stopped", text)
	}
	if counted {
		n, err := strconv.Atoi(times)
		if err != nil || n < 0 || !p.onFailure {
			return p, usagef("--restart %s: maximum retry count must be a number, and is for on-failure", text)
		}
		p.times = n
	}
	return p, nil
}

func (p restartPolicy) again(err error, done int) bool {
	var exit *runtime.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Err != nil) {
		return false // it could not be started, and will not be
	}
	return p.always || p.onFailure && err != nil && (p.times == 0 || done < p.times)
}

// relay hands signals to the command; before there is one they end the run. While it starts they wait: it may be at
// work before we hear of it.
type relay struct {
	signals chan os.Signal
	mu      sync.Mutex
	process *runtime.Process
	starts  bool
	waiting []syscall.Signal
	asked   int // signals that ask to end
}

func newRelay() *relay { return &relay{signals: make(chan os.Signal, 16)} }

func (r *relay) start(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(r.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range r.signals {
			r.hand(s.(syscall.Signal), cancel)
		}
	}()
	return ctx, func() { signal.Stop(r.signals) }
}

func (r *relay) starting() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts = true
}

// to says where signals go from now on, nil for nowhere.
func (r *relay) to(p *runtime.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != nil {
		for _, s := range r.waiting {
			_ = p.Signal(s)
		}
	}
	r.process, r.starts, r.waiting = p, false, nil
}

func (r *relay) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked > 0
}

// hand passes one signal on. The third that asks to end kills, as docker's client does: the first process of a
// container need not heed any other signal.
func (r *relay) hand(s syscall.Signal, cancel context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s == syscall.SIGINT || s == syscall.SIGTERM {
		r.asked++
	}
	switch {
	case r.process == nil && r.starts && r.asked < 2:
		r.waiting = append(r.waiting, s)
	case r.process == nil:
		cancel(interrupted{s})
	case r.asked >= 3:
		_ = r.process.Signal(syscall.SIGKILL)
	default:
		_ = r.process.Signal(s)
	}
}

// parseSignal reads a name, with SIG or without, or a number.
func parseSignal(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n), nil
	}
	if s := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")); s != 0 {
		return s, nil
	}
	return 0, usagef("invalid signal: %s", text)
}

// giveToUser gives the files of the image that belong to the kept user to 0, who is that user in the sandbox.
func giveToUser(view *layers.View, root string, k *runtime.KeepID) error {
	if k.UID == 0 {
		return nil
	}
	return view.Walk("/", func(e *layers.Entry) error {
		uid, gid := -1, -1
		if e.UID == k.UID {
			uid = 0
		}
		if e.GID == k.GID && k.GID != 0 {
			gid = 0
		}
		if uid < 0 && gid < 0 {
			return nil
		}
		if err := os.Lchown(root+e.Path, uid, gid); err != nil {
			return fmt.Errorf("giving %s to the user: %w", e.Path, err)
		}
		return nil
	})
}
