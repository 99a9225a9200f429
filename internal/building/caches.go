// This file owns the options about what earlier builds left: which steps are done again, whose caches are
// used, and the caches that are shared with other machines.

package building

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/image"
)

// Caches say what a build takes of earlier ones, and what it leaves to later ones.
type Caches struct {
	// Every step runs again.
	NoCache bool
	// The steps of these stages run again.
	NoCacheFilter []string
	// A RUN whose result is older than this runs again; zero is no such age.
	MaxAge time.Duration
	// The cache mounts of the steps that run are emptied before.
	NoCacheMounts bool

	// Whose the caches are; empty is the project of the context.
	Scope string
	// Their caches are read, and not written.
	ScopesBelow []string

	// Shared caches have what steps made, not what is in cache mounts. Repo is both From and To.
	From, To, Repo []string

	Mounts Mounts
	Tools  Tools
}

// Flags says of each flag which caches it is about: there are results of steps, here and shared, and cache mounts.
func (f *Caches) Flags(flags *pflag.FlagSet, environ cli.Environment) {
	flags.BoolVar(&f.NoCache, "no-cache", cli.Truthy(environ.Get("NO_CACHE")), "run every step again; cache mounts are kept (NO_CACHE)")
	flags.StringSliceVar(&f.NoCacheFilter, "no-cache-filter", nil, "stages whose steps run again")
	flags.BoolVar(&f.NoCacheMounts, "no-cache-mounts", false, "empty the cache mounts of the steps that run")
	flags.Var((*cli.List)(&f.From), "cache-from", "REF, type=registry,ref=REF or type=local,src=DIR: take steps from there that are not stored here (repeatable)")
	flags.Var((*cli.List)(&f.To), "cache-to", "type=registry,ref=REF[,mode=max] or type=local,dest=DIR: write steps there; max: those of all stages (repeatable)")
	flags.Var((*cli.List)(&f.Repo), "cache-repo", "REF: --cache-from and --cache-to of it (repeatable)")
	flags.StringVar(&f.Scope, "cache-scope", "", "trust scope of all caches, instead of the project; of a shared cache it is read first, then what was written without a scope")
	flags.Var((*cli.List)(&f.ScopesBelow), "cache-scope-from", "trust scope whose cache mounts and pip caches are seen, too, and not written (repeatable)")
	f.Mounts.Flags(flags)
	f.Tools.Flags(flags)
}

// fill puts into the request what is used of earlier builds on this machine.
func (f *Caches) fill(req *build.Request, environ cli.Environment, context string) error {
	req.NoCache, req.MaxAge, req.NoCacheMounts, req.Fresh = f.NoCache, f.MaxAge, f.NoCacheMounts, map[string]bool{}
	for _, stage := range f.NoCacheFilter {
		// Names of stages do not depend on case in a Dockerfile.
		req.Fresh[strings.ToLower(stage)] = true
	}
	req.Scope = environ.ScopeOf(f.Scope, context)
	for _, name := range f.ScopesBelow {
		req.ScopesBelow = append(req.ScopesBelow, scope.Named(name))
	}
	return f.Tools.fill(req, environ)
}

// notices are what the user should know about flags that have no effect.
func (f *Caches) notices() []string {
	if slices.ContainsFunc(slices.Concat(f.From, f.To), func(s string) bool { return strings.Contains(s, "type=inline") }) {
		return []string{"type=inline of --cache-from and --cache-to has no effect: use type=registry, which has an entry for each step"}
	}
	return nil
}

// cachePlace is a parsed --cache-from or --cache-to.
type cachePlace struct {
	ref   image.Ref
	scope string
	all   bool
}

// cacheOptions are the keys of each type; those of buildx that say how its manifests look have no effect.
var cacheOptions = map[string][]string{
	"registry": {"type", "ref", "scope", "mode", "ignore-error", "image-manifest", "oci-mediatypes"},
	"local":    {"type", "src", "dest", "scope", "mode", "ignore-error", "image-manifest", "oci-mediatypes"},
}

// parseCachePlace reads a value of flag; nil is type=inline, which has no effect.
func parseCachePlace(flag, s, dir string) (*cachePlace, error) {
	if !strings.Contains(s, "=") { // docker's short form
		s = "type=registry,ref=" + s
	}
	fields, err := cli.Fields(s)
	if err != nil {
		return nil, cli.Usagef("%s: %w", flag, err)
	}
	kind := cmp.Or(fields["type"], "registry")
	if kind == "inline" {
		return nil, nil
	}
	known, ok := cacheOptions[kind]
	if !ok {
		return nil, cli.Usagef("%s %s: unknown type %q; it is registry or local", flag, s, kind)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			return nil, cli.Usagef("%s %s: unknown key %q", flag, s, key)
		}
	}
	p := &cachePlace{scope: fields["scope"], all: fields["mode"] == "max"}
	if mode := fields["mode"]; mode != "" && mode != "min" && mode != "max" {
		return nil, cli.Usagef("%s %s: mode is min or max", flag, s)
	}
	if kind == "local" {
		if fields[dir] == "" {
			return nil, cli.Usagef("%s %s: %s=DIR is missing", flag, s, dir)
		}
		p.ref = image.Ref{Kind: image.KindOCI, Path: fields[dir]}
		return p, nil
	}
	if p.ref, err = image.ParseName(fields["ref"]); err != nil {
		return nil, cli.Usagef("%s %s: %w", flag, s, err)
	}
	return p, nil
}

// remoteCaches are the caches of one build that other machines share. Reading and writing the same place is one.
type remoteCaches struct {
	made    map[cachePlace]*sharedcache.Cache
	options image.Options
	maxAge  time.Duration
}

// share opens the caches of the command line for the request.
func (f *Caches) share(req *build.Request, a *cli.App) error {
	shared := remoteCaches{made: map[cachePlace]*sharedcache.Cache{}, options: a.Registries.Options(), maxAge: f.MaxAge}
	for _, s := range slices.Concat(f.From, f.Repo) {
		p, err := parseCachePlace("--cache-from", s, "src")
		if err != nil || p == nil {
			return err
		}
		// What was written without a scope is trusted by all scopes, so it is read after the build's own.
		scopes := []string{p.scope}
		if p.scope == "" && f.Scope != "" {
			scopes = []string{f.Scope, ""}
		}
		for _, scope := range scopes {
			c, err := shared.open(cachePlace{ref: p.ref, scope: scope})
			if err != nil {
				return err
			}
			req.CacheFrom = append(req.CacheFrom, c)
		}
	}
	for _, s := range slices.Concat(f.To, f.Repo) {
		p, err := parseCachePlace("--cache-to", s, "dest")
		if err != nil || p == nil {
			return err
		}
		c, err := shared.open(cachePlace{ref: p.ref, scope: cmp.Or(p.scope, f.Scope)})
		if err != nil {
			return err
		}
		// One cache may be named twice (--cache-repo and --cache-to). The wider mode counts.
		c.All = c.All || p.all
		req.CacheTo = append(req.CacheTo, c)
	}
	return nil
}

// open makes the cache of a place, once.
func (s remoteCaches) open(p cachePlace) (*sharedcache.Cache, error) {
	if c := s.made[p]; c != nil {
		return c, nil
	}
	images, err := image.NewCollection(p.ref, s.options)
	if err != nil {
		return nil, cli.Usage(err)
	}
	c := &sharedcache.Cache{Name: images.String(), Place: placeOfCache(p.ref), Scope: p.scope, Source: images.Source(), MaxAge: s.maxAge, Write: images.Write,
		Open: func(ctx context.Context, tag string) (v1.Image, error) {
			img, err := images.Open(ctx, tag)
			// A tag that is not there is the usual case: nobody has made this step yet.
			var missing *image.NotFoundError
			if errors.As(err, &missing) {
				return nil, nil
			}
			return img, err
		}}
	s.made[p] = c
	return c, nil
}

// placeOfCache names a cache wherever the command stands.
func placeOfCache(ref image.Ref) string {
	if ref.Kind != image.KindRegistry {
		ref.Path = scope.RealPath(ref.Path)
	}
	return ref.String()
}
