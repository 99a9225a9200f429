// This file owns what a caller says about the way to a place. How an image is written is in writeoptions.go.

package image

import (
	"net/http"
	"net/url"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// Options say how a place is reached. The zero value is anonymous, with TLS, for the platform of this machine.
type Options struct {
	// Platform chooses from an index. Nil means linux on this machine's architecture.
	Platform *v1.Platform
	// Insecure permits plain http, and certificates that nobody vouches for, at the registry itself.
	Insecure bool
	// Unverified permits certificates that nobody vouches for, at the registry itself, and no plain http.
	Unverified bool
	// Hosts say of single registries how they are reached, by HostName.
	Hosts map[string]Host
	// Keychain has the credentials. Nil means that there are none.
	Keychain authn.Keychain
	// Mirrors are asked before the registries that they are of, in this order.
	Mirrors []Mirror
	// MirrorsOnly has nobody else asked for images of a registry that has mirrors.
	MirrorsOnly bool
	// Certs are directories as Docker's certs.d, with CAs and client certificates by host.
	Certs []string
	// UserAgent is what registries are told. The empty one means gbuild.
	UserAgent string
	// Report is told how many bytes have moved. It is called from many goroutines, one at a time.
	Report func(done, total int64)
	// Connections are shared with other calls. Nil means that none are kept.
	Connections *wire.Connections

	patience wire.Patience                         // Tests have less of it.
	proxy    func(*http.Request) (*url.URL, error) // Tests reach other hosts by it; nil is http.ProxyFromEnvironment.
}

// blobsAtATime is how many blobs of an image are written side by side.
const blobsAtATime = 4

// platform is the one that is wanted.
func (o Options) platform() v1.Platform {
	if o.Platform != nil {
		return *o.Platform
	}
	return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
}

// network is the part of the options that package wire needs.
func (o Options) network() wire.Options {
	return wire.Options{Insecure: o.Insecure, Unverified: o.Unverified, UserAgent: o.UserAgent, Certs: o.certs, Proxy: o.proxy, Patience: o.patience}
}
