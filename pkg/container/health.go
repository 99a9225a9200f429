// This file owns the health of a container: the checks that run in it beside its command, and what they have found.

package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// The states of health, which are docker's.
const (
	HealthStarting  = "starting"
	HealthHealthy   = "healthy"
	HealthUnhealthy = "unhealthy"
)

// Health is what the checks of a container have found.
type Health struct {
	Status        string
	FailingStreak int
	Log           []HealthResult // the last ones, the oldest first
}

// HealthResult is one check.
type HealthResult struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

// The bounds of what is kept, and docker's defaults.
const (
	healthResults = 5
	healthOutput  = 4096
	healthEvery   = 30 * time.Second
	healthAtStart = 5 * time.Second
	healthRetries = 3
)

// HealthCheck is how the health of a container is looked at; what is 0 has docker's default.
type HealthCheck struct {
	Args              []string
	Interval, Timeout time.Duration
	StartPeriod       time.Duration // a failure in this time after the start counts only if a check has succeeded before
	StartInterval     time.Duration // the interval in that time
	Retries           int           // so many failures, one after the other, are bad health
}

// pause is how long to wait before the next check, so long after the start.
func (c *HealthCheck) pause(h Health, since time.Duration) time.Duration {
	if h.Status == HealthStarting && since < c.StartPeriod {
		return cmp.Or(c.StartInterval, healthAtStart)
	}
	return cmp.Or(c.Interval, healthEvery)
}

// after is the health after one more result, so long after the start.
func (c *HealthCheck) after(h Health, r HealthResult, since time.Duration) Health {
	h.Log = append(h.Log[:len(h.Log):len(h.Log)], r)
	h.Log = h.Log[max(0, len(h.Log)-healthResults):]
	switch {
	case r.ExitCode == 0:
		h.Status, h.FailingStreak = HealthHealthy, 0
	case h.Status == HealthStarting && since < c.StartPeriod:
	default:
		if h.FailingStreak++; h.FailingStreak >= cmp.Or(c.Retries, healthRetries) {
			h.Status = HealthUnhealthy
		}
	}
	return h
}

// watch looks at the health of a process until the context ends.
func (s *Session) watch(ctx context.Context, p Process) {
	h, began := Health{Status: HealthStarting}, time.Now()
	s.note(func(c *Container) { c.Health = &h })
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.Check.pause(h, time.Since(began))):
		}
		r := s.checkOnce(ctx, p)
		if ctx.Err() != nil {
			return
		}
		found := s.Check.after(h, r, time.Since(began))
		s.note(func(c *Container) { c.Health = &found })
		h = found
	}
}

// checkOnce runs the check in the container, as the user of its command.
func (s *Session) checkOnce(ctx context.Context, p Process) (r HealthResult) {
	r = HealthResult{Start: time.Now(), ExitCode: -1}
	timeout := cmp.Or(s.Check.Timeout, healthEvery)
	checked, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	output, err := s.outputOf(checked, p)
	r.End = time.Now()
	var exit *runtime.ExitError
	switch {
	case checked.Err() != nil:
		r.Output = fmt.Sprintf("Health check exceeded timeout (%s)", timeout)
	case err == nil:
		r.ExitCode, r.Output = 0, output
	case errors.As(err, &exit) && exit.Err == nil:
		r.ExitCode, r.Output = exit.Code, output
	default:
		r.Output = err.Error()
	}
	return r
}

// outputOf runs the check, and returns the beginning of what it says.
func (s *Session) outputOf(ctx context.Context, p Process) (string, error) {
	id, err := s.User("")
	if err != nil {
		return "", err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	said, out, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer said.Close()
	var text []byte
	var reading sync.WaitGroup
	reading.Go(func() {
		text, _ = io.ReadAll(io.LimitReader(said, healthOutput))
		_, _ = io.Copy(io.Discard, said)
	})
	err = p.Exec(ctx, runtime.ExecOptions{Args: s.Check.Args, UID: id.UID, GID: id.GID, Groups: id.Groups, Stdin: null, Stdout: out, Stderr: out})
	out.Close()
	reading.Wait()
	return string(text), err
}
