// This file owns the names of images, as docker reads and writes them.

package dockerfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// reference is the name of an image as docker reads it: [HOST[:PORT]/]PATH[:TAG][@DIGEST]. The usual package for that is
// not linked, for it compiles a dozen expressions in every process of this program, and each sandbox starts one.
type reference struct{ host, path, tag, digest string }

const (
	hub         = "docker.io"
	hubOfficial = "library/"
)

var (
	imageID    = lazyregexp.New(`^[a-f0-9]*$`)
	hostForm   = lazyregexp.New(`^(?:\[[a-fA-F0-9:]+\]|(?i:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*))(?::[0-9]+)?$`)
	pathForm   = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*$`)
	tagForm    = lazyregexp.New(`^\w[\w.-]*$`)
	digestForm = lazyregexp.New(`^(?i:[a-z][a-z0-9]*(?:[-_+.][a-z][a-z0-9]*)*:[a-f0-9]{32,})$`)
)

// parseReference reads a name. Its errors are worded as docker words them.
func parseReference(s string) (r reference, err error) {
	if len(s) == 64 && imageID().MatchString(s) {
		return r, fmt.Errorf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s)
	}
	host, rest := splitHost(s)
	if name, _, _ := strings.Cut(rest, ":"); strings.ToLower(name) != name {
		return r, fmt.Errorf("invalid reference format: repository name (%s) must be lowercase", name)
	}
	rest, pin, pinned := strings.Cut(rest, "@")
	path, tag, tagged := strings.Cut(rest, ":")
	if !hostForm().MatchString(host) { // then it may be the first element of a path
		host, path = "", host+"/"+path
	}
	switch {
	case len(tag) > 128, tagged && !tagForm().MatchString(tag), pinned && !digestForm().MatchString(pin), !pathForm().MatchString(strings.ToLower(path)):
		return r, errors.New("invalid reference format")
	case !pathForm().MatchString(path):
		return r, errors.New("repository name must be lowercase")
	case len(path) > 255:
		return r, errors.New("repository name must not be more than 255 characters")
	case pinned:
		_, err = digest.Parse(pin)
	}
	return reference{host, path, tag, pin}, err
}

// splitHost cuts the registry off a name, and gives the names of Docker Hub their full form.
func splitHost(s string) (host, rest string) {
	host, rest, ok := strings.Cut(s, "/")
	switch {
	case !ok, host != "localhost" && !strings.ContainsAny(host, ".:") && strings.ToLower(host) == host:
		host, rest = hub, s
	case host == "index.docker.io":
		host = hub
	}
	if host == hub && !strings.Contains(rest, "/") {
		rest = hubOfficial + rest
	}
	return host, rest
}

// String writes the full form.
func (r reference) String() string {
	name := r.path
	if r.host != "" {
		name = r.host + "/" + name
	}
	if r.tag != "" {
		name += ":" + r.tag
	}
	if r.digest != "" {
		name += "@" + r.digest
	}
	return name
}

// familiar leaves out what a name without a registry means anyway.
func (r reference) familiar() string {
	if r.host == hub {
		r.host = ""
		if name, ok := strings.CutPrefix(r.path, hubOfficial); ok && !strings.Contains(name, "/") {
			r.path = name
		}
	}
	return r.String()
}

// tagged adds the tag that a name with neither tag nor digest has.
func (r reference) tagged() reference {
	if r.tag == "" && r.digest == "" {
		r.tag = "latest"
	}
	return r
}

// familiar is a name without what is meant anyway; one that cannot be read stays as it is.
func familiar(name string) string {
	r, err := parseReference(name)
	if err != nil {
		return name
	}
	return strings.TrimSuffix(r.familiar(), ":latest")
}
