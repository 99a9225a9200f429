// This file sends a request again after failures that pass, and gives up on connections that stall.

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// slowAnswer is how many stall times the answer to a request that changes something may take: a registry may hash and copy
// gigabytes before it answers the end of an upload.
const slowAnswer = 20

type onceKey struct{}

// Once marks requests that must not be sent again as they are, because the caller has to start over: parts of an upload.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// retrier is the RoundTripper that has patience.
type retrier struct {
	inner    http.RoundTripper
	patience Patience
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
		passes := err != nil && Passing(err) || err == nil && PassingStatus(resp.StatusCode)
		if single || attempt == MaxRetries || !passes {
			return resp, err
		}
		if resp != nil {
			err = Dated(errors.New(resp.Status), resp)
			drain(resp)
		}
		if err := t.patience.Wait(r.Context(), attempt, err); err != nil {
			return nil, err
		}
	}
}

// rewound gives the request its body from the start: whoever sits above may have sent this request before (a 401 in between).
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

// watched sends a request that is given up when nothing moves in either direction for the stall time.
func (t *retrier) watched(r *http.Request) (*http.Response, error) {
	stall := t.patience.Stall
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	r = r.Clone(ctx)
	answer := stall
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		answer *= slowAnswer
	}
	if r.Body == nil || r.Body == http.NoBody {
		timer.Reset(answer)
	} else {
		r.Body = &sentBody{ReadCloser: r.Body, timer: timer, stall: stall, atEOF: answer}
	}
	resp, err := t.inner.RoundTrip(r)
	timer.Stop()
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &answerBody{ReadCloser: resp.Body, ctx: ctx, timer: timer, stall: stall, done: cancel}
	bound(r, resp, stall)
	return resp, nil
}

// causeOf names a stall instead of the cancellation that it made.
func causeOf(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// sentBody is the body of a request. Its timer runs while the peer takes bytes, that is between the reads: our own source may be
// slow (a layer that is still made), and that is no stall of the registry.
type sentBody struct {
	io.ReadCloser
	timer *time.Timer
	stall time.Duration
	atEOF time.Duration // It is the time that the answer may take after the last byte.
}

// Read implements io.Reader.
func (b *sentBody) Read(p []byte) (int, error) {
	b.timer.Stop()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.timer.Reset(b.atEOF)
	} else {
		b.timer.Reset(b.stall)
	}
	return n, err
}

// answerBody is the body of an answer. Its timer runs while it is read.
type answerBody struct {
	io.ReadCloser
	ctx   context.Context
	timer *time.Timer
	stall time.Duration
	done  context.CancelCauseFunc
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = causeOf(b.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.timer.Stop()
	b.done(nil)
	return err
}
