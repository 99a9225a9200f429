package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/pipcache"
)

type v1Image = v1.Image

func newCacheCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "cache", Short: "List, remove, push and pull cache mounts (pip's, apt's, any other)"}
	c.AddCommand(newCacheListCommand(a), newCacheRemoveCommand(a), newCachePruneCommand(a), newCachePushCommand(a), newCachePullCommand(a))
	return c
}

func newCacheListCommand(a *app) *cobra.Command {
	var wheels bool
	c := &cobra.Command{
		Use: "ls", Short: "List cache mounts with size and last use, and the wheels in pip's", Args: cobra.NoArgs, Aliases: []string{"list"},
		Example: "  gbuild cache ls\n  gbuild cache ls --wheels",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.mustEnter(c.Context(), func(context.Context) error { return a.listCaches(wheels) })
		},
	}
	c.Flags().BoolVar(&wheels, "wheels", false, "one line for each wheel")
	return c
}

func (a *app) listCaches(wheels bool) error {
	caches, err := a.openCaches()
	if err != nil {
		return err
	}
	list, err := caches.List()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%-40s %10s  %-16s %-32s %s\n", "ID", "SIZE", "LAST USED", "SCOPE", "WHEELS")
	for _, i := range list {
		if i.About != "" && i.Files == 0 { // of a build that was killed before it built something
			continue
		}
		var names []string
		for _, w := range i.Wheels {
			names = append(names, w.Name+" "+w.Version)
		}
		text := strings.Join(names, ", ")
		if wheels {
			text = fmt.Sprint(len(names))
		}
		fmt.Fprintf(a.stdout, "%-40s %10s  %-16s %-32s %s\n", i.ID, units.HumanSizeWithPrecision(float64(i.Size), 3), units.HumanDuration(time.Since(i.LastUsed))+" ago", scope.Words(i.Trust), text)
		if i.About != "" {
			fmt.Fprintf(a.stdout, "  built %s\n", i.About)
		}
		for _, w := range i.Wheels {
			if wheels {
				fmt.Fprintf(a.stdout, "  %s %s  %s\n", w.Name, w.Version, units.HumanSizeWithPrecision(float64(w.Size), 3))
			}
		}
	}
	return nil
}

func newCacheRemoveCommand(a *app) *cobra.Command {
	var all bool
	var name string
	c := &cobra.Command{
		Use: "rm ID [ID...]", Short: "Remove cache mounts",
		Long: `Remove cache mounts of the project that the working directory belongs to, and those that have no scope. An id that only one
other scope has needs no --scope.`,
		Example: "  gbuild cache rm /root/.cache/pip\n  gbuild cache rm --scope pr-12 pip\n  gbuild cache rm --all",
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{hint.Errorf("gbuild cache ls lists them", "name the caches to remove, or give --all")}
			}
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return a.removeCaches(ctx, all, name, args) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "remove every cache mount, of all scopes")
	c.Flags().StringVar(&name, "scope", "", "NAME of the --cache-scope whose caches are meant, or all")
	return c
}

func (a *app) removeCaches(ctx context.Context, all bool, name string, ids []string) error {
	caches, err := a.openCaches()
	if err != nil {
		return err
	}
	list, err := caches.List()
	if err != nil {
		return err
	}
	doomed := map[string]bool{}
	for _, id := range ids {
		found, err := a.cachesOf(list, name, id)
		if err != nil {
			return err
		}
		for _, i := range found {
			doomed[i.Key] = true
		}
	}
	for _, i := range list {
		if all {
			doomed[i.Key] = true
		}
	}
	freed, err := caches.Remove(ctx, slices.Sorted(maps.Keys(doomed))...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Removed %d, freed %s\n", len(doomed), units.HumanSizeWithPrecision(float64(freed), 3))
	return err
}

// cachesOf finds the caches that an id means in a scope: of a name, in all, or in that of the project that the working
// directory belongs to; there is no other then that has the id, or the one that has it is meant.
func (a *app) cachesOf(list []pipcache.Info, name, id string) ([]pipcache.Info, error) {
	if name == "all" {
		return pipcache.Match(list, id)
	}
	trust := a.environ.scopeOf(name, ".")
	mine := slices.DeleteFunc(slices.Clone(list), func(i pipcache.Info) bool {
		return i.Trust != trust && (i.Trust != "" || name != "")
	})
	found, err := pipcache.Match(mine, id)
	if err != nil && name != "" && len(mine) == 0 {
		return nil, hint.Errorf("gbuild cache ls lists all, with their scopes", "scope %s has no cache %q", name, id)
	}
	if err == nil || name != "" {
		return found, err
	}
	if found, err = pipcache.Match(list, id); err != nil {
		return nil, err
	}
	words := map[string]bool{}
	for _, i := range found {
		words[scope.Words(i.Trust)] = true
	}
	if len(words) > 1 {
		return nil, hint.Errorf("give --scope NAME, or --scope all", "several scopes have a cache %q, and not that of this directory: %s", id, strings.Join(slices.Sorted(maps.Keys(words)), ", "))
	}
	return found, nil
}
