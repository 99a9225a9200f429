package image

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// eager asks a registry for what is wanted before it asks how to ask: where no login is needed, the first answer is the
// one, also to an upload. What that does not bring is asked for as ggcr's transport would: after GET /v2/, with the token
// that the registry gives to anybody. retrier sends a body again from its start.
type eager struct {
	wire  http.RoundTripper
	hello *greetings
	login func(context.Context) (http.RoundTripper, error)

	open atomic.Bool // somebody nobody knows may write here, so what is not there for them is not there

	mu  sync.Mutex
	all http.RoundTripper // the result of login
}

// RoundTrip implements http.RoundTripper.
func (e *eager) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.knows() || e.hello.status(r.URL.Scheme) != 0 {
		return e.ask(r)
	}
	resp, err := e.wire.RoundTrip(r)
	if err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return resp, err
	}
	if resp.StatusCode < 400 || resp.StatusCode == http.StatusNotFound && e.open.Load() {
		e.open.CompareAndSwap(false, r.Method == http.MethodPost)
		return resp, nil
	}
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return resp, nil
	}
	if resp.StatusCode == http.StatusUnauthorized {
		e.hello.keep(r, resp, nil) // GET /v2/ would say the same
	}
	all, err := e.loggedIn(r.Context())
	if err == nil && e.hello.status(r.URL.Scheme) == http.StatusOK {
		return resp, nil // there is nobody to log in to, so this was the answer
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // a drained connection can be used again
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	return all.RoundTrip(r)
}

// ask sends a request in the way that the registry wants.
func (e *eager) ask(r *http.Request) (*http.Response, error) {
	t, err := e.loggedIn(r.Context())
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(r)
}

// knows says whether the registry was asked how it wants to be asked.
func (e *eager) knows() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all != nil
}

func (e *eager) loggedIn(ctx context.Context) (http.RoundTripper, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		all, err := e.login(ctx)
		if err != nil {
			return nil, err
		}
		e.all = all
	}
	return e.all, nil
}
