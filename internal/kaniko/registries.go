// This file owns what a line says of registries: how far each is trusted, by what, and who is asked in its place.

package kaniko

import (
	"strings"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
)

// fillRegistries says how registries are spoken to. kaniko has flags for pulling and for pushing: what it says of pushing is
// about the registries of destinations and cache, and what it says of pulling about all others.
func (l *Line) fillRegistries(r *cli.Registries) error {
	r.Insecure, r.Unverified = l.InsecurePull, l.SkipVerifyPull || l.SkipVerify
	r.AuthFiles = l.credentialFiles()
	r.Ambient = l.ambient()
	if err := l.fillMirrors(r); err != nil {
		return err
	}
	r.Hosts = map[string]image.Host{}
	pushed, err := l.pushedTo()
	if err != nil {
		return err
	}
	for _, host := range pushed {
		r.Hosts[host] = image.Host{Insecure: l.Insecure, Unverified: l.SkipVerify}
	}
	for _, m := range r.Mirrors {
		if _, known := r.Hosts[m.Host]; !known {
			r.Hosts[m.Host] = image.Host{Insecure: r.Insecure, Unverified: r.Unverified}
		}
	}
	// What is said of one registry is said of all that is asked of it.
	set := func(name string, change func(*image.Host)) {
		name = image.HostName(name)
		h, known := r.Hosts[name]
		if !known {
			h = image.Host{Insecure: r.Insecure, Unverified: r.Unverified}
		}
		change(&h)
		r.Hosts[name] = h
	}
	for _, name := range l.InsecureRegistries {
		set(name, func(h *image.Host) { h.Insecure = true })
	}
	for _, name := range l.SkipVerifyRegistries {
		set(name, func(h *image.Host) { h.Unverified = true })
	}
	return l.fillCertificates(set)
}

// pushedTo are the hosts of destinations and cache.
func (l *Line) pushedTo() (hosts []string, err error) {
	names := l.Destinations
	cache, err := l.cacheRepo()
	if err != nil {
		return nil, err
	}
	if cache != "" && !strings.HasPrefix(cache, "oci:") {
		names = append(names[:len(names):len(names)], cache)
	}
	for _, name := range names {
		ref, err := image.ParseName(name)
		if err != nil {
			return nil, cli.Usage(err)
		}
		hosts = append(hosts, ref.Host)
	}
	return hosts, nil
}

// fillCertificates reads --registry-certificate and --registry-client-cert.
func (l *Line) fillCertificates(set func(string, func(*image.Host))) error {
	for _, word := range l.Certificates {
		host, file, ok := strings.Cut(word, "=")
		if !ok || host == "" || file == "" {
			return cli.Usagef("--registry-certificate %s: it is HOST[:PORT]=FILE", word)
		}
		set(host, func(h *image.Host) { h.CA = file })
	}
	for _, word := range l.ClientCertificates {
		host, files, _ := strings.Cut(word, "=")
		cert, key, ok := strings.Cut(files, ",")
		if !ok || host == "" || cert == "" || key == "" || strings.Contains(key, ",") {
			return cli.Usagef("--registry-client-cert %s: it is HOST[:PORT]=CERT,KEY", word)
		}
		set(host, func(h *image.Host) { h.Cert, h.Key = cert, key })
	}
	return nil
}

// fillMirrors reads --registry-map and --registry-mirror, in the order in which kaniko asks.
func (l *Line) fillMirrors(r *cli.Registries) error {
	for _, word := range l.Maps {
		for _, pair := range strings.Split(word, ";") {
			if pair == "" {
				continue
			}
			of, to, ok := strings.Cut(pair, "=")
			if !ok || of == "" {
				return cli.Usagef("--registry-map %s: it is HOST=HOST[/PATH]", pair)
			}
			m, err := cli.ParseMirror("--registry-map", of, to)
			if err != nil {
				return err
			}
			r.Mirrors = append(r.Mirrors, m)
		}
	}
	for _, word := range l.Mirrors {
		m, err := cli.ParseMirror("--registry-mirror", "docker.io", word)
		if err != nil {
			return err
		}
		r.Mirrors = append(r.Mirrors, m)
	}
	r.MirrorsOnly = l.MirrorsOnly
	return nil
}
