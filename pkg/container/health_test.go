package container

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// One result after the other makes the health: failures count from the end of the start period on, or from the first success.
func TestHealthAfter(t *testing.T) {
	c := &HealthCheck{StartPeriod: time.Minute, Retries: 2}
	for name, steps := range map[string][]struct {
		code  int
		since time.Duration
		want  string
	}{
		"well":       {{0, 1, HealthHealthy}, {1, 2, HealthHealthy}, {1, 3, HealthUnhealthy}, {0, 4, HealthHealthy}},
		"starting":   {{1, time.Second, HealthStarting}, {1, 2 * time.Second, HealthStarting}, {1, 2 * time.Minute, HealthStarting}, {-1, 3 * time.Minute, HealthUnhealthy}},
		"never well": {{1, time.Hour, HealthStarting}, {1, time.Hour, HealthUnhealthy}, {1, time.Hour, HealthUnhealthy}},
	} {
		h := Health{Status: HealthStarting}
		for i, step := range steps {
			if h = c.after(h, HealthResult{ExitCode: step.code}, step.since); h.Status != step.want || len(h.Log) != i+1 {
				t.Errorf("%s, step %d: %+v, want %s", name, i, h, step.want)
			}
		}
	}
	h := Health{}
	for range 9 {
		h = c.after(h, HealthResult{}, 0)
	}
	if len(h.Log) != healthResults {
		t.Errorf("%d results are kept", len(h.Log))
	}
	starting, started := Health{Status: HealthStarting}, Health{Status: HealthHealthy}
	for want, got := range map[time.Duration]time.Duration{
		healthAtStart: c.pause(starting, 0), healthEvery: c.pause(started, 0), 7: (&HealthCheck{StartPeriod: 2, StartInterval: 7}).pause(starting, 1), 8: (&HealthCheck{Interval: 8}).pause(starting, 1),
	} {
		if got != want {
			t.Errorf("pause %v, want %v", got, want)
		}
	}
}

// checked is a process whose checks end as they are told to.
type checked struct {
	fakeProcess
	ends []error
}

func (p *checked) Exec(_ context.Context, o runtime.ExecOptions) error {
	_, _ = o.Stdout.WriteString("checked by " + o.Args[0])
	if len(p.ends) == 0 {
		p.ended <- nil
		return nil
	}
	err := p.ends[0]
	p.ends = p.ends[1:]
	return err
}

// The checks of a session go on as long as its command, and the record says what they found.
func TestSessionIsChecked(t *testing.T) {
	p := &checked{fakeProcess{ended: make(chan error, 1), heeds: syscall.SIGTERM}, []error{nil, &runtime.ExitError{Code: 4}, &runtime.ExitError{Code: 5}}}
	s := newSession(t, "no", func(_ context.Context, started func(Process)) error { started(p); return <-p.ended })
	s.Check = &HealthCheck{Args: []string{"probe"}, Interval: 1, Retries: 2}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &Container{dir: s.Container.dir}
	if err := c.reload(); err != nil || c.Health == nil || len(c.Health.Log) < 3 {
		t.Fatal(err, c.Health)
	}
	if log := c.Health.Log; log[0].ExitCode != 0 || log[1].ExitCode != 4 || log[2].ExitCode != 5 || log[2].Output != "checked by probe" || log[2].End.Before(log[2].Start) {
		t.Errorf("%+v", log)
	}
	if c.Health.Status == HealthStarting {
		t.Error("it is still starting")
	}
}
