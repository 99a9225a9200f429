// This file owns how a command speaks to registries: as whom, how trustingly, and by which mirrors.

package cli

import (
	"context"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/image/wire"
)

// Registries is what a command knows of registries, of which it may speak to several.
type Registries struct {
	environ     Environment
	insecure    bool             // --insecure of the command
	Mirrors     []string         // --registry-mirror
	Version     string           // gbuild's, which registries are told
	connections wire.Connections // All that this process says to registries goes over these.
}

// AddInsecure adds the flag that says of every registry of a command, those of an image's layers included, how far it is
// trusted. Nothing that is stored says so: an image could claim it.
func (r *Registries) AddInsecure(f *pflag.FlagSet) {
	f.BoolVar(&r.insecure, "insecure", false, "speak plain http to registries, and accept unknown certificates")
}

// Options are those of all that a command asks of registries.
func (r *Registries) Options() image.Options {
	return image.Options{Insecure: r.insecure, Mirrors: r.Mirrors, Keychain: image.Keychain(r.environ.dockerConfigDir(), r.environ.authFiles()...),
		Certs: r.environ.certDirs(), UserAgent: "gbuild/" + r.Version, Connections: &r.connections}
}

// layer gets a layer of a base image that was never needed here until now.
func (r *Registries) layer(ctx context.Context, source string, d v1.Descriptor) (v1.Layer, error) {
	return image.Layer(ctx, source, d, r.Options())
}

// SetMirrors reads --registry-mirror as kaniko (HOST) and dockerd (URL) have it.
func (r *Registries) SetMirrors() error {
	hosts, err := registryHosts(r.Mirrors)
	r.Mirrors = hosts
	return err
}

// registryHosts refuses what would give a mirror a path or a password, which it would be told in vain.
func registryHosts(list []string) (hosts []string, err error) {
	for _, s := range list {
		host := s
		if scheme, rest, ok := strings.Cut(s, "://"); ok {
			if scheme != "https" && scheme != "http" {
				return nil, Usagef("--registry-mirror %s: it is HOST[:PORT], or https:// before that", s)
			}
			host = strings.TrimSuffix(rest, "/")
			if scheme == "http" && !wire.IsLoopback(host) {
				return nil, Usagef("--registry-mirror %s: a mirror must speak https, but on this machine itself", s)
			}
		}
		if host == "" || strings.ContainsAny(host, "/@ ") {
			return nil, Usagef("--registry-mirror: it is HOST[:PORT], without a path and without credentials (those are docker login's)")
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}
