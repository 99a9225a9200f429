package container

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// fakeProcess ends when it gets a signal that it heeds.
type fakeProcess struct {
	ended  chan error
	heeds  syscall.Signal
	mu     sync.Mutex
	called []string
}

func (p *fakeProcess) Pid() int { return 4711 }

func (p *fakeProcess) Signal(s os.Signal) error {
	p.mu.Lock()
	p.called = append(p.called, s.String())
	p.mu.Unlock()
	if s == p.heeds || s == syscall.SIGKILL {
		select {
		case p.ended <- &runtime.ExitError{Code: 128 + int(s.(syscall.Signal)), Signal: s.(syscall.Signal)}:
		default:
		}
	}
	return nil
}

func (p *fakeProcess) Exec(_ context.Context, o runtime.ExecOptions) error {
	_, err := o.Stdout.WriteString(strings.Join(o.Args, " "))
	return err
}

// newSession is a session whose command is a function.
func newSession(t *testing.T, policy string, once func(ctx context.Context, started func(Process)) error) *Session {
	t.Helper()
	restart, err := ParseRestart(policy)
	if err != nil {
		t.Fatal(err)
	}
	return &Session{Container: create(t, newRegistry(t), Record{Name: "one"}), Restart: restart, Once: func(ctx context.Context, _ Input, started func(Process)) error { return once(ctx, started) },
		Relay:  NewRelay(func(s syscall.Signal) { t.Errorf("%v came before there was a command", s) }),
		User:   func(string) (runtime.Identity, error) { return runtime.Identity{}, nil },
		Notice: func(text string) { t.Error(text) }}
}

// The record says at the end how the command ended last and how often it ran; one that could not be started is not tried
// again.
func TestSessionRestarts(t *testing.T) {
	failed, unstarted := &runtime.ExitError{Code: 3}, &runtime.ExitError{Code: 127, Err: errors.New("not found")}
	for name, c := range map[string]struct {
		policy string
		ends   []error
		runs   int
		code   int
		status Status
	}{
		"no":           {"no", []error{failed}, 1, 3, StatusExited},
		"well":         {"on-failure", []error{nil}, 1, 0, StatusExited},
		"so often":     {"on-failure:2", []error{failed, failed, failed, failed}, 3, 3, StatusExited},
		"until well":   {"on-failure", []error{failed, nil, failed}, 2, 0, StatusExited},
		"never ran":    {"always", []error{unstarted}, 1, 127, StatusCreated},
		"no sandbox":   {"always", []error{errors.New("no sandbox")}, 1, ExitNotStarted, StatusCreated},
		"ran no more":  {"always", []error{nil, unstarted}, 2, 127, StatusExited},
		"broke down":   {"always", []error{failed, errors.New("no sandbox")}, 2, ExitNotStarted, StatusExited},
		"is forgotten": {"", []error{nil}, 1, 0, StatusExited},
	} {
		runs := 0
		s := newSession(t, c.policy, func(_ context.Context, started func(Process)) error {
			err := c.ends[runs]
			runs++
			var exit *runtime.ExitError
			if err == nil || errors.As(err, &exit) && exit.Err == nil {
				started(&fakeProcess{})
			}
			return err
		})
		err := s.Run(context.Background())
		got := s.Container
		if !errors.Is(err, c.ends[runs-1]) || runs != c.runs || got.ExitCode != c.code || got.Status != c.status || got.Restarts != runs-1 || got.Pid != 0 && runs == 1 {
			t.Errorf("%s: %v, %d runs, %+v", name, err, runs, got.Record)
		}
	}
}

// A stop ends the container whenever it comes: while the command runs, between two starts, or while it starts.
func TestStopAtAnyTime(t *testing.T) {
	for _, when := range []string{"while it runs", "while it starts", "between two starts"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			reached := make(chan bool, 10)
			goOn := make(chan bool)
			s := newSession(t, "always", func(ctx context.Context, started func(Process)) error {
				p := &fakeProcess{ended: make(chan error, 1), heeds: syscall.SIGTERM}
				if when == "while it starts" {
					reached <- true
					<-goOn
				}
				started(p)
				if when == "between two starts" {
					reached <- true
					return nil
				}
				reached <- true
				return <-p.ended
			})
			over := make(chan error, 1)
			go func() { over <- s.Run(context.Background()) }()
			<-reached
			if when == "between two starts" {
				for s.running() != nil {
					time.Sleep(time.Millisecond)
				}
			}
			if err := (&Container{Record: Record{Name: "one"}, dir: s.Container.dir}).request(request{Op: opStop, Signal: int(syscall.SIGTERM), Timeout: -1}); err != nil {
				t.Fatal(err)
			}
			close(goOn)
			select {
			case <-over:
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
			if c := s.Container; c.Status != StatusExited {
				t.Errorf("%+v", c.Record)
			}
		})
	}
}

// A command that does not heed the first signal is killed when the time is over.
func TestStopKills(t *testing.T) {
	p := &fakeProcess{ended: make(chan error, 1), heeds: syscall.SIGUSR1}
	s := newSession(t, "no", func(_ context.Context, started func(Process)) error { started(p); return <-p.ended })
	over := make(chan error, 1)
	go func() { over <- s.Run(context.Background()) }()
	for s.running() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := s.stop(syscall.SIGTERM, 0); err != nil {
		t.Fatal(err)
	}
	<-over
	if s.Container.ExitCode != 137 {
		t.Errorf("%+v, signals %q", s.Container.Record, p.called)
	}
}

// Signals that come while the command starts reach it; the third that asks to end kills; before there is any they abandon.
func TestRelay(t *testing.T) {
	abandoned := ""
	r := NewRelay(func(s syscall.Signal) { abandoned += s.String() + " " })
	r.Hand(syscall.SIGHUP)
	r.start()
	r.Hand(syscall.SIGUSR1)
	r.Hand(syscall.SIGTERM)
	p := &fakeProcess{ended: make(chan error, 1)}
	r.to(p)
	r.Hand(syscall.SIGTERM)
	r.Hand(syscall.SIGTERM)
	if got := strings.Join(p.called, " "); got != "user defined signal 1 terminated terminated killed" || abandoned != "hangup " || !r.stopped() {
		t.Errorf("%q; abandoned: %q", got, abandoned)
	}
	r.to(nil)
	r.Hand(syscall.SIGQUIT)
	if abandoned != "hangup quit " {
		t.Errorf("abandoned: %q", abandoned)
	}
}

// A signal that is not to reach the command ends it all the same, for good.
func TestRelayEnds(t *testing.T) {
	abandoned := syscall.Signal(0)
	r := NewRelay(func(s syscall.Signal) { abandoned = s })
	p := &fakeProcess{ended: make(chan error, 1)}
	r.to(p)
	r.End(syscall.SIGINT)
	if got := strings.Join(p.called, " "); got != "killed" || abandoned != 0 || !r.stopped() {
		t.Errorf("%q; abandoned: %v", got, abandoned)
	}
	r.to(nil)
	if r.End(syscall.SIGTERM); abandoned != syscall.SIGTERM {
		t.Errorf("abandoned: %v", abandoned)
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]syscall.Signal{"HUP": 1, "sigterm": 15, "SIGUSR1": 10, "9": 9, "64": 64, "RTMIN": 34, "SIGRTMIN+3": 37, "rtmax-2": 62, "RTMAX": 64, "WINCH": 28, "RTMIN-1": 0, "RTMAX+1": 0, "RTMIN3": 0, "0": 0, "65": 0, "-1": 0, "NOSUCH": 0, "": 0} {
		if got, err := ParseSignal(text); got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
