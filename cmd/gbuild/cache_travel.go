// This file owns gbuild cache push and pull, by which cache mounts travel between machines.

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache/travel"
)

// newCachePushCommand writes cache mounts to a place.
func newCachePushCommand(a *cli.App) *cobra.Command {
	var o travel.Options
	var name string
	c := &cobra.Command{
		Use: "push REF [ID...]", Short: "Write cache mounts to a registry or to oci:DIR, for other machines", Args: cobra.MinimumNArgs(1),
		Long: `Write what cache mounts have, and the place does not, to a registry or to oci:DIR. By default only what was made here
leaves: wheels that pip built, ccache. --downloads adds what could be fetched again: pip's pages and files, .deb packages.
Those of the project leave that the working directory belongs to, or of --cache-scope; only the same scope takes them.`,
		Example: "  gbuild cache push registry.example/me/mounts\n  gbuild cache push --downloads oci:.gbuild/mounts /root/.cache/pip",
		RunE: func(c *cobra.Command, args []string) error {
			// No id means all cache mounts of the scope.
			o.IDs, o.Scope = args[1:], a.Environ.ScopeOf(name, ".")
			return moveCacheMounts(c.Context(), a, cli.Travel{Move: travel.Push, Options: o}, args[0])
		},
	}
	c.Flags().StringVar(&name, "cache-scope", "", "trust scope whose cache mounts leave, instead of the project")
	c.Flags().BoolVar(&o.Downloads, "downloads", false, "also what can be fetched again")
	c.Flags().DurationVar(&o.Keep, "keep", cli.KeepTravelled, "forget files that no machine has had in this time")
	a.Registries.AddInsecure(c.Flags())
	return c
}

// newCachePullCommand takes cache mounts from a place.
func newCachePullCommand(a *cli.App) *cobra.Command {
	var o travel.Options
	var name string
	c := &cobra.Command{
		Use: "pull REF [ID...]", Short: "Take cache mounts that other machines wrote", Args: cobra.MinimumNArgs(1),
		Long: `Take the files of cache mounts that gbuild cache push wrote to REF and that are not here. Files that are here stay. Those of the
project are taken that the working directory belongs to, or of --cache-scope.`,
		Example: "  gbuild cache pull registry.example/me/mounts\n  gbuild cache pull oci:.gbuild/mounts /root/.cache/pip",
		RunE: func(c *cobra.Command, args []string) error {
			o.IDs, o.Scope = args[1:], a.Environ.ScopeOf(name, ".")
			return moveCacheMounts(c.Context(), a, cli.Travel{Move: travel.Pull, Options: o}, args[0])
		},
	}
	c.Flags().StringVar(&name, "cache-scope", "", "trust scope that takes them, instead of the project")
	a.Registries.AddInsecure(c.Flags())
	return c
}

// moveCacheMounts does what the command says, and prints what moved.
func moveCacheMounts(ctx context.Context, a *cli.App, t cli.Travel, place string) (err error) {
	if t.Place, err = image.ParseRef(place); err != nil {
		return cli.Usage(err)
	}
	return a.MustEnter(ctx, func(ctx context.Context) error {
		text, err := t.Run(ctx, a)
		if err == nil {
			_, err = fmt.Fprintln(a.Stdout, text)
		}
		return err
	})
}
