// This file owns who is asked for an image: the mirrors of its registry, in their order, and then the registry itself.

package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Mirror is a host that has the images of a registry, below a path of its own if that is not empty.
type Mirror struct{ Of, Host, Path string }

// ref is where a mirror has an image of its registry.
func (m Mirror) ref(r Ref) Ref {
	r.Host = m.Host
	if m.Path != "" {
		r.Repository = m.Path + "/" + r.Repository
	}
	return r
}

// origin is the image of the registry that a mirror has here; not ok where it is none of the mirror's.
func (m Mirror) origin(r Ref) (Ref, bool) {
	path, ok := strings.CutPrefix(r.Repository, m.Path)
	if m.Path != "" {
		path, ok = strings.CutPrefix(path, "/")
	}
	if !ok || m.Host != r.Host {
		return r, false
	}
	r.Host, r.Repository = m.Of, path
	return r, true
}

// mirrored finds the registry whose image a repository of a mirror has. The mirror with the longest path is meant.
func (o Options) mirrored(r Ref) (origin Ref, ok bool) {
	longest := -1
	for _, m := range o.Mirrors {
		if found, is := m.origin(r); is && len(m.Path) > longest {
			origin, ok, longest = found, true, len(m.Path)
		}
	}
	return origin, ok
}

// asMirror are the options of what is asked of a mirror. That registries are trusted less is about hosts that the user named
// for themselves.
func (o Options) asMirror() Options {
	o.Insecure, o.Unverified = false, false
	return o
}

// eachHost tries the mirrors of a registry before that itself. A mirror that fails or lacks the image is no news where the registry
// has it, and where it has not, its error counts; but a mirror that is set up wrongly is told of when the registry is out of reach.
func eachHost(ctx context.Context, r Ref, o Options, ask func(*client) error) error {
	try := func(l login) error {
		c, err := newClient(ctx, l)
		if err != nil {
			return err
		}
		return ask(c)
	}
	var wrong, last error
	for _, m := range o.Mirrors {
		if m.Of != r.Host {
			continue
		}
		err := try(login{ref: m.ref(r), options: o.asMirror(), action: transport.PullScope})
		if err == nil || ctx.Err() != nil {
			return err
		}
		var missing *NotFoundError
		if wrong == nil && !IsAbsence(err) && !errors.As(err, &missing) {
			wrong = err
		}
		last = err
	}
	if last != nil && o.MirrorsOnly {
		return fmt.Errorf("%s: no mirror of %s has it, and nobody else may be asked: %w", r, r.Host, last)
	}
	err := try(login{ref: r, options: o, action: transport.PullScope})
	if wrong != nil && IsAbsence(err) {
		return fmt.Errorf("%w, and its mirror does not help: %w", err, wrong)
	}
	return err
}

// origin makes the client of the registry where this one is that of a mirror, else it is nil.
func (l login) origin() func(context.Context) (*client, error) {
	ref, ok := l.options.mirrored(l.ref)
	if !ok || l.options.MirrorsOnly {
		return nil
	}
	direct := l
	direct.ref, direct.options.Mirrors = ref, nil
	return func(ctx context.Context) (*client, error) { return newClient(ctx, direct) }
}

// isMirror says whether a host has images of another one.
func (o Options) isMirror(host string) bool {
	return slices.ContainsFunc(o.Mirrors, func(m Mirror) bool { return m.Host == host })
}
