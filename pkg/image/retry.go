package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of patience. A registry that asks for more in Retry-After gets maxPause.
const (
	maxRetries   = 5
	maxPause     = 60 * time.Second
	defaultStall = 30 * time.Second
	defaultPause = 500 * time.Millisecond
	// A registry may hash and copy gigabytes before it answers the end of an upload, so an answer to a request that
	// changes something may take this many stall times.
	slowAnswer = 20
)

// patience is how long to wait: pause before the first retry (doubled for each further one), stall without a byte.
type patience struct {
	pause, stall time.Duration
}

func (p patience) orDefault() patience {
	if p.pause == 0 {
		p.pause = defaultPause
	}
	if p.stall == 0 {
		p.stall = defaultStall
	}
	return p
}

// errStalled is the cause of a request that was given up because nothing moved.
var errStalled = errors.New("no data moved for too long")

type onceKey struct{}

// once marks requests that must not be sent again as they are, because the caller has to start over: parts of an upload.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// retrier sends a request again after failures that pass, and gives up on connections that stall.
type retrier struct {
	inner http.RoundTripper
	patience
}

// RoundTrip implements http.RoundTripper.
func (t *retrier) RoundTrip(r *http.Request) (*http.Response, error) {
	single := r.Context().Value(onceKey{}) != nil || (r.Body != nil && r.GetBody == nil)
	for attempt := 0; ; attempt++ {
		try, err := rewound(r)
		if err != nil {
			return nil, err
		}
		resp, err := t.watched(try)
		if err == nil {
			resp, err = whole(resp)
		}
		if single || attempt == maxRetries || !passing(resp, err) {
			return resp, err
		}
		if err := t.sleep(r.Context(), attempt, resp); err != nil {
			return nil, err
		}
	}
}

// rewound gives the request a fresh body: whoever sits above may have sent this request before (a 401 in between).
func rewound(r *http.Request) (*http.Request, error) {
	if r.GetBody == nil || r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, fmt.Errorf("opening the body of %s %s: %w", r.Method, r.URL.Redacted(), err)
	}
	r = r.Clone(r.Context())
	r.Body = body
	return r, nil
}

// passing tells failures that may be gone at the next try.
func passing(resp *http.Response, err error) bool {
	if err == nil {
		switch resp.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return passingError(err)
}

func passingError(err error) bool {
	var dns *net.DNSError
	var timeout net.Error
	var broken *cutError
	var bound *boundError
	switch {
	case errors.As(err, &bound):
		return false
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &broken) || endedByServer(err):
		return true
	case errors.As(err, &dns):
		return dns.IsTemporary || dns.IsTimeout
	case errors.As(err, &timeout) && timeout.Timeout():
		return true
	}
	for _, passes := range []error{errStalled, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, passes) {
			return true
		}
	}
	return false
}

// streamEnd is the form that net/http gives the reset of an HTTP/2 stream to whoever asks for it by errors.As.
type streamEnd struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements error.
func (e streamEnd) Error() string {
	return fmt.Sprintf("stream %d ended with code %d", e.StreamID, e.Code)
}

// endedByServer sees that a server ended an HTTP/2 stream, or a connection. What ends a connection has no type.
func endedByServer(err error) bool {
	var stream streamEnd
	text := err.Error()
	return errors.As(err, &stream) || strings.Contains(text, "http2: ") || strings.Contains(text, "connection error: ") ||
		strings.Contains(text, "server closed idle connection")
}

// laterError is a refusal that says when to ask again.
type laterError struct {
	err   error
	after time.Duration
}

// Error implements error.
func (e *laterError) Error() string { return e.err.Error() }

// Unwrap returns the refusal.
func (e *laterError) Unwrap() error { return e.err }

// wait is sleep after an error.
func (p patience) wait(ctx context.Context, attempt int, err error) error {
	var later *laterError
	if errors.As(err, &later) {
		return p.sleepFor(ctx, later.after)
	}
	return p.sleep(ctx, attempt, nil)
}

// sleep waits before the next try: as long as the registry asks, or exponentially with some jitter.
func (p patience) sleep(ctx context.Context, attempt int, resp *http.Response) error {
	wait := p.pause << attempt
	wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
	if resp != nil {
		if asked, ok := retryAfter(resp); ok {
			wait = asked
		}
		drain(resp)
	}
	return p.sleepFor(ctx, wait)
}

func (p patience) sleepFor(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(min(wait, maxPause))
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

// watched sends a request that is given up when nothing moves in either direction for the stall time.
func (t *retrier) watched(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(t.stall, func() { cancel(errStalled) })
	r = r.Clone(ctx)
	answer := t.stall
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		answer *= slowAnswer
	}
	if r.Body == nil || r.Body == http.NoBody {
		timer.Reset(answer)
	} else {
		r.Body = &watchedBody{ReadCloser: r.Body, ctx: ctx, timer: timer, stall: t.stall, atEOF: answer}
	}
	resp, err := t.inner.RoundTrip(r)
	timer.Stop()
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, timer: timer, stall: t.stall, reading: true, done: cancel}
	t.brief(r, resp)
	return resp, nil
}

// causeOf names a stall instead of the cancellation that it made.
func causeOf(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// watchedBody restarts the timer whenever bytes move. A response's time runs while it is read; a request's while the
// peer takes it, that is between the reads.
type watchedBody struct {
	io.ReadCloser
	ctx     context.Context
	timer   *time.Timer
	stall   time.Duration
	atEOF   time.Duration
	reading bool
	done    context.CancelCauseFunc
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	if b.reading {
		b.timer.Reset(b.stall)
		n, err := b.ReadCloser.Read(p)
		b.timer.Stop()
		if err != nil && err != io.EOF {
			err = causeOf(b.ctx, err)
		}
		return n, err
	}
	// Our own source may be slow (a layer that is still made); that is no stall of the registry.
	b.timer.Stop()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.timer.Reset(b.atEOF)
	} else {
		b.timer.Reset(b.stall)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	if b.done != nil {
		b.timer.Stop()
		b.done(nil)
	}
	return err
}
