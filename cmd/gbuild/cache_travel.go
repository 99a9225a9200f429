// This file owns gbuild cache push and pull, by which cache mounts travel between machines.

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/pipcache/travel"
)

// keepTravelled is for how long a push keeps what no machine has had, unless --keep says otherwise.
const keepTravelled = 30 * 24 * time.Hour

// move is travel.Push or travel.Pull.
type move func(context.Context, travel.Place, *pipcache.Caches, travel.Options) (string, error)

func newCachePushCommand(a *app) *cobra.Command {
	var o travel.Options
	var name string
	c := &cobra.Command{
		Use: "push REF [ID...]", Short: "Write cache mounts to a registry or to oci:DIR, for other machines", Args: cobra.MinimumNArgs(1),
		Long: `Write what cache mounts have, and the place does not, to a registry or to oci:DIR. By default only what was made here
leaves: wheels that pip built, ccache. --downloads adds what could be fetched again: pip's pages and files, .deb packages.
Those of the project leave that the working directory belongs to, or of --cache-scope; only the same scope takes them.`,
		Example: "  gbuild cache push registry.example/me/mounts\n  gbuild cache push --downloads oci:.gbuild/mounts /root/.cache/pip",
		RunE: func(c *cobra.Command, args []string) error {
			o.IDs, o.Scope = args[1:], a.environ.scopeOf(name, ".")
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return moveAndSay(ctx, a, travel.Push, args[0], o) })
		},
	}
	c.Flags().StringVar(&name, "cache-scope", "", "trust scope whose cache mounts leave, instead of the project")
	c.Flags().BoolVar(&o.Downloads, "downloads", false, "also what can be fetched again")
	c.Flags().DurationVar(&o.Keep, "keep", keepTravelled, "forget files that no machine has had in this time")
	a.registries.addInsecure(c.Flags())
	return c
}

func newCachePullCommand(a *app) *cobra.Command {
	var o travel.Options
	var name string
	c := &cobra.Command{
		Use: "pull REF [ID...]", Short: "Take cache mounts that other machines wrote", Args: cobra.MinimumNArgs(1),
		Long: `Take the files of cache mounts that gbuild cache push wrote to REF and that are not here. Files that are here stay. Those of the
project are taken that the working directory belongs to, or of --cache-scope.`,
		Example: "  gbuild cache pull registry.example/me/mounts\n  gbuild cache pull oci:.gbuild/mounts /root/.cache/pip",
		RunE: func(c *cobra.Command, args []string) error {
			o.IDs, o.Scope = args[1:], a.environ.scopeOf(name, ".")
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return moveAndSay(ctx, a, travel.Pull, args[0], o) })
		},
	}
	c.Flags().StringVar(&name, "cache-scope", "", "trust scope that takes them, instead of the project")
	a.registries.addInsecure(c.Flags())
	return c
}

func moveAndSay(ctx context.Context, a *app, move move, ref string, o travel.Options) error {
	text, err := moveMounts(ctx, a, move, ref, o)
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, text)
	}
	return err
}

// moveMounts brings cache mounts to the place that a reference names, or from there.
func moveMounts(ctx context.Context, a *app, move move, ref string, o travel.Options) (string, error) {
	place, err := placeOfMounts(a, ref)
	if err != nil {
		return "", err
	}
	caches, err := a.openCaches()
	if err != nil {
		return "", err
	}
	return move(ctx, place, caches, o)
}

func placeOfMounts(a *app, text string) (*image.Collection, error) {
	ref, err := image.ParseRef(text)
	if err != nil {
		return nil, usageError{err}
	}
	place, err := image.NewCollection(ref, a.registries.options())
	if err != nil {
		return nil, usageError{err}
	}
	return place, nil
}
