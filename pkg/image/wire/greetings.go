// This file remembers how a registry answered GET /v2/, so that it is greeted once.

package wire

import (
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
)

// greetings are the answers of one registry to GET /v2/, by scheme: whether it wants a login, and whether it speaks TLS.
type greetings struct {
	mu   sync.Mutex
	said map[string]greeting
}

// greeting is one such answer, or the error in its place.
type greeting struct {
	status int
	header http.Header
	err    error
}

// status is that of the registry's answer, or zero.
func (g *greetings) status(scheme string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.said[scheme].status
}

// recall makes the answer to a request from the one that was kept. ok is false where there is none.
func (g *greetings) recall(r *http.Request) (resp *http.Response, ok bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	said, ok := g.said[r.URL.Scheme]
	if !ok || said.err != nil {
		return nil, ok, said.err
	}
	return &http.Response{Status: http.StatusText(said.status), StatusCode: said.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: said.header.Clone(), Body: http.NoBody, Request: r}, true, nil
}

// keep remembers an answer that will be the same next time: not that of a registry in trouble.
func (g *greetings) keep(r *http.Request, resp *http.Response, err error) {
	said := greeting{err: err}
	var noTLS tls.RecordHeaderError
	switch {
	case err != nil && !errors.As(err, &noTLS):
		return
	case err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized:
		return
	case err == nil:
		said.status, said.header = resp.StatusCode, resp.Header.Clone()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.said == nil {
		g.said = map[string]greeting{}
	}
	g.said[r.URL.Scheme] = said
}
