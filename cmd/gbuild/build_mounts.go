// This file owns the flags of gbuild build by which cache mounts come from other machines before a build, and go to them
// after it.

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/pkg/pipcache/travel"
)

type mountFlags struct{ from, to []string }

func (f *mountFlags) add(flags *pflag.FlagSet) {
	flags.Var((*list)(&f.from), "cache-mounts-from", "REF or oci:DIR: take what cache mounts have there and not here, before a step runs (repeatable)")
	flags.Var((*list)(&f.to), "cache-mounts-to", "REF or ref=REF,downloads=true: write what is new in cache mounts there, after steps have run (repeatable)")
}

// check refuses places that cannot be.
func (f *mountFlags) check(a *app) error {
	for _, s := range slices.Concat(f.from, f.to) {
		flag, err := parseMountsFlag(s)
		if err == nil {
			_, err = placeOfMounts(a, flag.ref)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take brings cache mounts of a scope here before a build runs steps. A place that fails costs a line.
func (f *mountFlags) take(ctx context.Context, a *app, scope string, notice func(string)) {
	for _, s := range f.from {
		notice(travelled(ctx, a, travel.Pull, s, scope))
	}
}

// give writes what the steps of a build added to cache mounts of a scope.
func (f *mountFlags) give(ctx context.Context, a *app, scope string, notice func(string)) {
	for _, s := range f.to {
		notice(travelled(ctx, a, travel.Push, s, scope))
	}
}

// mountsFlag is a parsed --cache-mounts-from or --cache-mounts-to.
type mountsFlag struct {
	ref       string
	downloads bool
}

func parseMountsFlag(s string) (f mountsFlag, err error) {
	if !strings.HasPrefix(s, "ref=") {
		return mountsFlag{ref: s}, nil
	}
	fields, err := csvFields(s)
	if err != nil {
		return f, err
	}
	f = mountsFlag{fields["ref"], truthy(fields["downloads"])}
	delete(fields, "ref")
	delete(fields, "downloads")
	for key := range fields {
		return f, usagef("--cache-mounts-to %s: unknown key %q", s, key)
	}
	return f, nil
}

// travelled moves cache mounts as a flag says, and says what came of it.
func travelled(ctx context.Context, a *app, move move, flag, scope string) string {
	f, err := parseMountsFlag(flag)
	text := ""
	if err == nil {
		text, err = moveMounts(ctx, a, move, f.ref, travel.Options{Scope: scope, Downloads: f.downloads, Keep: keepTravelled})
	}
	if err != nil {
		return fmt.Sprintf("cache mounts: %v; the build goes on without", err)
	}
	return text
}
