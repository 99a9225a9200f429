// This file owns the flags of gbuild build by which cache mounts come from other machines before a build, and go to them
// after it.

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache/travel"
)

// mountFlags name the places of cache mounts.
type mountFlags struct {
	// Places that are read before the first step.
	from []string
	// Places that are written after the last step, if any ran.
	to []string
}

// add has flags that may be repeated: each is a place of its own.
func (f *mountFlags) add(flags *pflag.FlagSet) {
	flags.Var((*cli.List)(&f.from), "cache-mounts-from", "REF or oci:DIR: take what cache mounts have there and not here, before a step runs (repeatable)")
	flags.Var((*cli.List)(&f.to), "cache-mounts-to", "REF or ref=REF,downloads=true: write what is new in cache mounts there, after steps have run (repeatable)")
}

// travels are the ways of cache mounts around a build.
type travels struct{ from, to []travelling }

// parse reads the flags, for the cache mounts of a scope.
func (f *mountFlags) parse(scope string) (all travels, err error) {
	if all.from, err = parseTravels(f.from, travelling{move: travel.Pull, options: travel.Options{Scope: scope}}); err != nil {
		return all, err
	}
	all.to, err = parseTravels(f.to, travelling{move: travel.Push, options: travel.Options{Scope: scope, Keep: keepTravelled}})
	return all, err
}

// parseTravels reads the values of one flag; t is what all of them have in common.
func parseTravels(words []string, t travelling) (all []travelling, err error) {
	for _, s := range words {
		t.options.Downloads = false
		if err := t.parse(s); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// parse reads REF or ref=REF,downloads=true.
func (t *travelling) parse(s string) (err error) {
	ref := s
	if strings.HasPrefix(s, "ref=") {
		fields, err := cli.Fields(s)
		if err != nil {
			return err
		}
		ref, t.options.Downloads = fields["ref"], cli.Truthy(fields["downloads"])
		delete(fields, "ref")
		delete(fields, "downloads")
		for key := range fields {
			return cli.Usagef("--cache-mounts-to %s: unknown key %q", s, key)
		}
	}
	if t.place, err = image.ParseRef(ref); err != nil {
		return cli.Usage(err)
	}
	if _, err := image.NewCollection(t.place, image.Options{}); err != nil {
		return cli.Usage(err)
	}
	return nil
}

// take brings cache mounts here before a build runs steps. A place that fails costs a line.
func (all travels) take(ctx context.Context, a *cli.App, notice func(string)) {
	for _, t := range all.from {
		notice(t.inWords(ctx, a))
	}
}

// give writes what the steps of a build added to cache mounts.
func (all travels) give(ctx context.Context, a *cli.App, notice func(string)) {
	for _, t := range all.to {
		notice(t.inWords(ctx, a))
	}
}

// inWords is what came of it, or why nothing did.
func (t travelling) inWords(ctx context.Context, a *cli.App) string {
	text, err := t.run(ctx, a)
	if err != nil {
		return fmt.Sprintf("cache mounts: %v; the build goes on without", err)
	}
	return text
}
