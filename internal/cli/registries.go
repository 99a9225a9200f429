// This file owns how a command speaks to registries: as whom, how trustingly, and by which mirrors.

package cli

import (
	"context"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/image/wire"
)

// Registries is what a command knows of registries, of which it may speak to several.
type Registries struct {
	environ     Environment
	MirrorFlags []string         // --registry-mirror
	Version     string           // gbuild's, which registries are told
	connections wire.Connections // All that this process says to registries goes over these.

	Insecure, Unverified bool // How far all of them are trusted; see image.Options.
	Hosts                map[string]image.Host
	Mirrors              []image.Mirror
	MirrorsOnly          bool
	AuthFiles            []string // Files with logins, after those of Docker and podman.
	OnlyAuthFile         string   // The file with logins, if there is to be no other.
	Ambient              []string // What is asked for credentials that no file has; see image.Ambient.
}

// AddInsecure adds the flag that says of every registry of a command, those of an image's layers included, how far it is
// trusted. Nothing that is stored says so: an image could claim it.
func (r *Registries) AddInsecure(f *pflag.FlagSet) {
	f.BoolVar(&r.Insecure, "insecure", false, "speak plain http to registries, and accept unknown certificates")
}

// Options are those of all that a command asks of registries.
func (r *Registries) Options() image.Options {
	k := image.Keychain(r.environ.dockerConfigDir(), slices.Concat(r.environ.authFiles(), r.AuthFiles)...)
	if r.OnlyAuthFile != "" {
		k = image.Logins(r.OnlyAuthFile)
	}
	return image.Options{Insecure: r.Insecure, Unverified: r.Unverified, Hosts: r.Hosts, Mirrors: r.Mirrors, MirrorsOnly: r.MirrorsOnly,
		Keychain: image.Ambient(k, r.Ambient, r.environ), Certs: r.environ.certDirs(), UserAgent: "gbuild/" + r.Version, Connections: &r.connections}
}

// layer gets a layer of a base image that was never needed here until now.
func (r *Registries) layer(ctx context.Context, source string, d v1.Descriptor) (v1.Layer, error) {
	return image.Layer(ctx, source, d, r.Options())
}

// SetMirrors reads --registry-mirror as kaniko (HOST[/PATH]) and dockerd (URL) have it.
func (r *Registries) SetMirrors() error {
	for _, word := range r.MirrorFlags {
		m, err := ParseMirror("--registry-mirror", "docker.io", word)
		if err != nil {
			return err
		}
		r.Mirrors = append(r.Mirrors, m)
	}
	return nil
}

// ParseMirror reads HOST[:PORT][/PATH], or a URL of that, of what has the images of a registry. Credentials in it would be told
// to whoever reads the command line.
func ParseMirror(flag, of, word string) (m image.Mirror, err error) {
	address := word
	if scheme, rest, ok := strings.Cut(word, "://"); ok {
		if scheme != "https" && scheme != "http" {
			return m, Usagef("%s %s: it is HOST[:PORT][/PATH], or https:// before that", flag, word)
		}
		address = rest
		if host, _, _ := strings.Cut(rest, "/"); scheme == "http" && !wire.IsLoopback(host) {
			return m, Usagef("%s %s: a mirror must speak https, but on this machine itself", flag, word)
		}
	}
	m.Of = image.HostName(of)
	m.Host, m.Path, _ = strings.Cut(strings.TrimSuffix(address, "/"), "/")
	if m.Host == "" || strings.ContainsAny(address, "@ ") || strings.Contains(m.Path, "//") {
		return m, Usagef("%s: it is HOST[:PORT][/PATH], without credentials (those are docker login's)", flag)
	}
	return m, nil
}
