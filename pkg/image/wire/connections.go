// This file puts the RoundTrippers together. Those that remember something of a registry are kept for later calls.

package wire

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Connections are what a process keeps of registries between the calls that share them: open connections, and how a registry
// wants to be asked, so that each is greeted once. The zero value is empty; nil keeps nothing. A registry is reached with the
// UserAgent, the Certs and the Proxy of the first Options that came to it.
type Connections struct {
	mu     sync.Mutex
	guards map[string]*guard
}

// Login says who asks a registry, and for which rights.
type Login struct {
	Registry name.Registry
	Auth     authn.Authenticator
	// Scopes are the rights to ask for. The first one is needed; those after it are to mount layers from, and may be refused.
	Scopes []string
}

// Open returns a client for one registry. It logs in now; but a caller without credentials does so when a request needs it.
func (c *Connections) Open(ctx context.Context, l Login, o Options) (*http.Client, error) {
	g := c.guard(l.Registry.RegistryStr(), o)
	wire := &retrier{g, o.Patience.OrDefault()}
	in := &session{hello: &g.hello, scopes: l.Scopes}
	in.login = func(ctx context.Context, scopes []string) (http.RoundTripper, error) {
		return transport.NewWithContext(ctx, l.Registry, l.Auth, wire, scopes)
	}
	client := &http.Client{CheckRedirect: followRedirect, Transport: in}
	if l.Auth == authn.Anonymous && (!o.Insecure || IsLoopback(g.host)) {
		client.Transport = &eager{wire: wire, session: in}
		return client, nil
	}
	_, err := in.enter(ctx)
	return client, err
}

// guard is the one for a registry.
func (c *Connections) guard(host string, o Options) *guard {
	if c == nil {
		return newGuard(host, o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("%s %t %t", host, o.Insecure, o.Unverified)
	if c.guards[id] == nil {
		if c.guards == nil {
			c.guards = map[string]*guard{}
		}
		c.guards[id] = newGuard(host, o)
	}
	return c.guards[id]
}
