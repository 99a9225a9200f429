package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
)

func (a *app) addCacheFlags(f *pflag.FlagSet, o *buildOptions) {
	f.Var((*list)(&o.cacheFrom), "cache-from", "REF, type=registry,ref=REF or type=local,src=DIR: take steps from there that are not stored here (repeatable)")
	f.Var((*list)(&o.cacheTo), "cache-to", "type=registry,ref=REF[,mode=max] or type=local,dest=DIR: write steps there; max: those of all stages (repeatable)")
	f.Var((*list)(&o.cacheRepo), "cache-repo", "REF: --cache-from and --cache-to of it (repeatable)")
	f.Var((*list)(&o.mountsFrom), "cache-mounts-from", "REF or oci:DIR: take what cache mounts have there and not here, before a step runs (repeatable)")
	f.Var((*list)(&o.mountsTo), "cache-mounts-to", "REF or ref=REF,downloads=true: write what is new in cache mounts there, after steps have run (repeatable)")
	f.StringVar(&o.cacheScope, "cache-scope", "", "trust scope of all caches, instead of the project; of a shared cache it is read first, then what was written without a scope")
	f.Var((*list)(&o.scopesBelow), "cache-scope-from", "trust scope whose cache mounts and pip caches are seen, too, and not written (repeatable)")
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
	fields, err := csvFields(s)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	kind := cmp.Or(fields["type"], "registry")
	if kind == "inline" {
		return nil, nil
	}
	known, ok := cacheOptions[kind]
	if !ok {
		return nil, usagef("%s %s: unknown type %q; it is registry or local", flag, s, kind)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			return nil, usagef("%s %s: unknown key %q", flag, s, key)
		}
	}
	p := &cachePlace{scope: fields["scope"], all: fields["mode"] == "max"}
	if mode := fields["mode"]; mode != "" && mode != "min" && mode != "max" {
		return nil, usagef("%s %s: mode is min or max", flag, s)
	}
	if kind == "local" {
		if fields[dir] == "" {
			return nil, usagef("%s %s: %s=DIR is missing", flag, s, dir)
		}
		p.ref = image.Ref{Kind: image.KindOCI, Path: fields[dir]}
		return p, nil
	}
	if p.ref, err = image.ParseName(fields["ref"]); err != nil {
		return nil, usagef("%s %s: %w", flag, s, err)
	}
	return p, nil
}

// shareCaches adds the caches of the command line to the request.
func (a *app) shareCaches(o *buildOptions, in *input, req *build.Request) error {
	for _, s := range slices.Concat(o.mountsFrom, o.mountsTo) {
		f, err := parseMountsFlag(s)
		if err == nil {
			_, err = placeOfMounts(a, f.ref)
		}
		if err != nil {
			return err
		}
	}
	in.shared = map[cachePlace]*build.SharedCache{}
	for _, s := range slices.Concat(o.cacheFrom, o.cacheRepo) {
		p, err := parseCachePlace("--cache-from", s, "src")
		if err != nil || p == nil {
			return err
		}
		scopes := []string{p.scope}
		if p.scope == "" && o.cacheScope != "" {
			scopes = []string{o.cacheScope, ""}
		}
		for _, scope := range scopes {
			c, err := a.openShared(in, cachePlace{ref: p.ref, scope: scope})
			if err != nil {
				return err
			}
			req.CacheFrom = append(req.CacheFrom, c)
		}
	}
	for _, s := range slices.Concat(o.cacheTo, o.cacheRepo) {
		p, err := parseCachePlace("--cache-to", s, "dest")
		if err != nil || p == nil {
			return err
		}
		c, err := a.openShared(in, cachePlace{ref: p.ref, scope: cmp.Or(p.scope, o.cacheScope)})
		if err != nil {
			return err
		}
		c.All = c.All || p.all
		req.CacheTo = append(req.CacheTo, c)
	}
	return nil
}

// openShared makes the cache of a place; reading and writing the same place is one.
func (a *app) openShared(in *input, p cachePlace) (*build.SharedCache, error) {
	if c := in.shared[p]; c != nil {
		return c, nil
	}
	images, err := image.NewCollection(p.ref, a.registries.options())
	if err != nil {
		return nil, usageError{err}
	}
	c := &build.SharedCache{Name: images.String(), Place: placeOfCache(p.ref), Scope: p.scope, Source: images.Source(), Write: images.Write,
		Open: func(ctx context.Context, tag string) (v1.Image, error) {
			img, err := images.Open(ctx, tag)
			var missing *image.NotFoundError
			if errors.As(err, &missing) {
				return nil, nil
			}
			return img, err
		}}
	if slices.Contains(a.handed.Broken, c.Name) {
		c.GiveUp()
	}
	in.shared[p] = c
	return c, nil
}

// placeOfCache names a cache wherever the command stands.
func placeOfCache(ref image.Ref) string {
	if ref.Kind != image.KindRegistry {
		ref.Path = scope.RealPath(ref.Path)
	}
	return ref.String()
}

// brokenCaches are the names of those that failed.
func brokenCaches(shared map[cachePlace]*build.SharedCache) (names []string) {
	for _, c := range shared {
		if !c.Works() {
			names = append(names, c.Name)
		}
	}
	return names
}
