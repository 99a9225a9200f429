// This file owns the options by which cache mounts come from other machines before a build, and go to them
// after it.

package building

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache/travel"
)

// Mounts name the places of cache mounts.
type Mounts struct {
	// Places that are read before the first step.
	From []string
	// Places that are written after the last step, if any ran.
	To []string
}

// Flags has flags that may be repeated: each is a place of its own.
func (f *Mounts) Flags(flags *pflag.FlagSet) {
	flags.Var((*cli.List)(&f.From), "cache-mounts-from", "REF or oci:DIR: take what cache mounts have there and not here, before a step runs (repeatable)")
	flags.Var((*cli.List)(&f.To), "cache-mounts-to", "REF or ref=REF,downloads=true: write what is new in cache mounts there, after steps have run (repeatable)")
}

// travels are the ways of cache mounts around a build.
type travels struct{ from, to []cli.Travel }

// parse reads the flags, for the cache mounts of a scope.
func (f *Mounts) parse(scope string) (all travels, err error) {
	if all.from, err = parseTravels(f.From, cli.Travel{Move: travel.Pull, Options: travel.Options{Scope: scope}}); err != nil {
		return all, err
	}
	all.to, err = parseTravels(f.To, cli.Travel{Move: travel.Push, Options: travel.Options{Scope: scope, Keep: cli.KeepTravelled}})
	return all, err
}

// parseTravels reads the values of one flag; t is what all of them have in common.
func parseTravels(words []string, t cli.Travel) (all []cli.Travel, err error) {
	for _, s := range words {
		if t.Place, t.Options.Downloads, err = parseTravel(s); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// parseTravel reads REF or ref=REF,downloads=true.
func parseTravel(s string) (place image.Ref, downloads bool, err error) {
	ref := s
	if strings.HasPrefix(s, "ref=") {
		fields, err := cli.Fields(s)
		if err != nil {
			return place, false, err
		}
		ref, downloads = fields["ref"], cli.Truthy(fields["downloads"])
		delete(fields, "ref")
		delete(fields, "downloads")
		for key := range fields {
			return place, false, cli.Usagef("--cache-mounts-to %s: unknown key %q", s, key)
		}
	}
	if place, err = image.ParseRef(ref); err != nil {
		return place, false, cli.Usage(err)
	}
	if _, err := image.NewCollection(place, image.Options{}); err != nil {
		return place, false, cli.Usage(err)
	}
	return place, downloads, nil
}

// take brings cache mounts here before a build runs steps. A place that fails costs a line.
func (all travels) take(ctx context.Context, a *cli.App, notice func(string)) {
	for _, t := range all.from {
		notice(inWords(ctx, a, t))
	}
}

// give writes what the steps of a build added to cache mounts.
func (all travels) give(ctx context.Context, a *cli.App, notice func(string)) {
	for _, t := range all.to {
		notice(inWords(ctx, a, t))
	}
}

// inWords is what came of it, or why nothing did.
func inWords(ctx context.Context, a *cli.App, t cli.Travel) string {
	text, err := t.Run(ctx, a)
	if err != nil {
		return fmt.Sprintf("cache mounts: %v; the build goes on without", err)
	}
	return text
}
