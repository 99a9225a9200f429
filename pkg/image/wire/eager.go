// This file owns the first request to a registry, which is sent before any login.

package wire

import (
	"crypto/tls"
	"errors"
	"net/http"
	"sync/atomic"
)

// eager asks a registry for what is wanted before it asks how to ask: where no login is needed, the first answer is the
// one, also to an upload. What that does not bring is asked for as ggcr's transport would: after GET /v2/, with the token
// that the registry gives to anybody. retrier sends a body again from its start.
type eager struct {
	wire    http.RoundTripper
	session *session

	// open says that a stranger may write here, so what is not there for a stranger is not there.
	open atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (e *eager) RoundTrip(r *http.Request) (*http.Response, error) {
	hello := e.session.hello
	if e.session.known() || hello.status(r.URL.Scheme) != 0 {
		return e.session.RoundTrip(r)
	}
	resp, err := e.wire.RoundTrip(r)
	if err != nil && r.URL.Scheme == "http" && rewindable(r) {
		_, entered := e.session.enter(r.Context()) // The host may speak TLS only: a login finds that out.
		if entered == nil {
			return e.session.RoundTrip(r)
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](entered); ok {
			return nil, entered
		}
	}
	if err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return resp, err
	}
	if resp.StatusCode < 400 || resp.StatusCode == http.StatusNotFound && e.open.Load() {
		e.open.CompareAndSwap(false, r.Method == http.MethodPost)
		return resp, nil
	}
	if !rewindable(r) {
		return resp, nil
	}
	if resp.StatusCode == http.StatusUnauthorized {
		hello.keep(r, resp, nil) // GET /v2/ would say the same.
	}
	_, err = e.session.enter(r.Context())
	if err == nil && hello.status(r.URL.Scheme) == http.StatusOK {
		return resp, nil // There is nobody to log in to, so this was the answer.
	}
	drain(resp)
	if err != nil {
		return nil, err
	}
	return e.session.RoundTrip(r)
}
