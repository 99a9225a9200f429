// This file owns the numbers of waiting: how long a request may stall, how often it is sent again, and how long the pause before
// that is.

package wire

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// MaxRetries is how often a request is sent again.
const MaxRetries = 5

// The usual times. A registry that asks for a longer pause in Retry-After gets maxPause.
const (
	maxPause     = 60 * time.Second
	defaultStall = 30 * time.Second
	defaultPause = 500 * time.Millisecond
)

// Patience is how long to wait: Pause before the first retry, and twice as long before each further one; Stall without a byte.
type Patience struct {
	Pause, Stall time.Duration
}

// OrDefault puts the usual times where p has none.
func (p Patience) OrDefault() Patience {
	return Patience{cmp.Or(p.Pause, defaultPause), cmp.Or(p.Stall, defaultStall)}
}

// laterError is a refusal that says when to ask again.
type laterError struct {
	error
	after time.Duration
}

// Unwrap returns the refusal.
func (e *laterError) Unwrap() error { return e.error }

// Dated keeps with the error that was made of an answer when the registry wants to be asked again, for Wait.
func Dated(err error, resp *http.Response) error {
	if after, ok := retryAfter(resp); ok {
		return &laterError{err, after}
	}
	return err
}

// Wait waits before the next try after an error, or until the context ends: as long as the registry asked for, else twice as long
// for each attempt. attempt counts from zero.
func (p Patience) Wait(ctx context.Context, attempt int, err error) error {
	pause := p.Pause << attempt
	pause += time.Duration(rand.Int64N(int64(pause)/2 + 1)) // The jitter keeps many clients from coming back at once.
	var later *laterError
	if errors.As(err, &later) {
		pause = later.after
	}
	timer := time.NewTimer(min(pause, maxPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func retryAfter(resp *http.Response) (time.Duration, bool) {
	v := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}
