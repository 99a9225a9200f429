// This file owns what is said of single registries: how far they are trusted, and with which certificates.

package image

import (
	"crypto/tls"
	"strings"
)

// Host is what is said of one registry, in the place of what the Options say of all.
type Host struct {
	Insecure, Unverified bool // as in Options
	// CA is a file with certificates of authorities that count besides those of this machine.
	CA string
	// Cert and Key are files with what we log in by.
	Cert, Key string
}

// HostName is the one name that a registry has here: its host, with the port if that is not the usual one.
func HostName(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	return hubAlias(strings.TrimSuffix(name, "/"))
}

// at are the options for one registry.
func (o Options) at(host string) Options {
	if h, ok := o.Hosts[hubAlias(host)]; ok {
		o.Insecure, o.Unverified = h.Insecure, h.Unverified
	}
	return o
}

// certs are the certificates that are set up for a host, in directories or for it alone.
func (o Options) certs(host string) (*tls.Config, error) {
	c, err := certsFor(o.Certs, host)
	h := o.Hosts[hubAlias(host)]
	if err != nil || h.CA == "" && h.Cert == "" {
		return c, err
	}
	if c == nil {
		c = &tls.Config{}
	}
	if h.CA != "" {
		if err := addCA(c, h.CA); err != nil {
			return nil, err
		}
	}
	if h.Cert != "" {
		pair, err := tls.LoadX509KeyPair(h.Cert, h.Key)
		if err != nil {
			return nil, &ConfigError{h.Cert, err}
		}
		c.Certificates = append(c.Certificates, pair)
	}
	return c, nil
}
