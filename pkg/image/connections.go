package image

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// Connections are what a process keeps of registries between the calls whose Options share them: open connections, and
// how a registry wants to be asked, so that each is greeted once. The zero value is empty. Proxy and UserAgent are those
// of the first Options that came to a registry.
type Connections struct {
	mu     sync.Mutex
	guards map[string]*guard
}

// guard is the one for a registry. Nil keeps none.
func (c *Connections) guard(host string, o Options) *guard {
	if c == nil {
		return newGuard(host, o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("%s %t", host, o.Insecure)
	if c.guards[id] == nil {
		if c.guards == nil {
			c.guards = map[string]*guard{}
		}
		c.guards[id] = newGuard(host, o)
	}
	return c.guards[id]
}

// greetings are the answers of one registry to GET /v2/, by scheme: whether it wants a login, and whether it speaks TLS.
type greetings struct {
	mu   sync.Mutex
	said map[string]greeting
}

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

func (g *greetings) recall(r *http.Request) (*http.Response, error, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	said, ok := g.said[r.URL.Scheme]
	if !ok || said.err != nil {
		return nil, said.err, ok
	}
	return &http.Response{Status: http.StatusText(said.status), StatusCode: said.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: said.header.Clone(), Body: http.NoBody, Request: r}, nil, true
}

// keep remembers an answer that will be the same next time: not that of a registry in trouble.
func (g *greetings) keep(r *http.Request, resp *http.Response, err error) {
	said := greeting{err: err}
	var plain tls.RecordHeaderError // there is no TLS at this port
	switch {
	case err != nil && !errors.As(err, &plain):
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
