// This file owns gbuild cache ls and rm, which are about the cache mounts of this machine.

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/pipcache"
)

// newCacheCommand groups the commands about cache mounts.
func newCacheCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{Use: "cache", Short: "List, remove, push and pull cache mounts (pip's, apt's, any other)"}
	c.AddCommand(newCacheListCommand(a), newCacheRemoveCommand(a), newCachePruneCommand(a), newCachePushCommand(a), newCachePullCommand(a))
	return c
}

// newCacheListCommand enters the namespace even to list: files of a cache may belong to ids that only it maps.
func newCacheListCommand(a *cli.App) *cobra.Command {
	var wheels bool
	c := &cobra.Command{
		Use: "ls", Short: "List cache mounts with size and last use, and the wheels in pip's", Args: cobra.NoArgs, Aliases: []string{"list"},
		Example: "  gbuild cache ls\n  gbuild cache ls --wheels",
		RunE: func(c *cobra.Command, _ []string) error {
			write := writeCache
			if wheels {
				write = writeCacheAndWheels
			}
			return a.MustEnter(c.Context(), func(context.Context) error { return listCaches(a, write) })
		},
	}
	c.Flags().BoolVar(&wheels, "wheels", false, "one line for each wheel")
	return c
}

// listCaches lists them, the one that was used last first.
func listCaches(a *cli.App, write func(io.Writer, pipcache.Info)) error {
	caches, err := a.OpenCaches()
	if err != nil {
		return err
	}
	list, err := caches.List()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, cacheColumns, "ID", "SIZE", "LAST USED", "SCOPE", "WHEELS")
	for _, i := range list {
		if i.About == "" || i.Files > 0 { // else it is of a build that was killed before it built something
			write(a.Stdout, i)
		}
	}
	return nil
}

// cacheColumns is the format of a line of the list.
// The width of the columns is fixed; only the last one, which may have many names, is as long as it gets.
const cacheColumns = "%-40s %10s  %-16s %-32s %s\n"

// writeCache writes a cache with the names of its wheels.
func writeCache(w io.Writer, i pipcache.Info) {
	var names []string
	for _, wheel := range i.Wheels {
		names = append(names, wheel.Name+" "+wheel.Version)
	}
	writeCacheLine(w, i, strings.Join(names, ", "))
}

// writeCacheAndWheels writes a cache with the number of its wheels, and a line for each of them.
func writeCacheAndWheels(w io.Writer, i pipcache.Info) {
	writeCacheLine(w, i, strconv.Itoa(len(i.Wheels)))
	for _, wheel := range i.Wheels {
		fmt.Fprintf(w, "  %s %s  %s\n", wheel.Name, wheel.Version, cli.HumanSize(wheel.Size))
	}
}

// writeCacheLine writes what both forms of the list have.
func writeCacheLine(w io.Writer, i pipcache.Info, wheels string) {
	fmt.Fprintf(w, cacheColumns, i.ID, cli.HumanSize(i.Size), cli.Ago(i.LastUsed), scope.Words(i.Trust), wheels)
	if i.About != "" {
		fmt.Fprintf(w, "  built %s\n", i.About)
	}
}

// newCacheRemoveCommand removes caches of one scope, unless it is told otherwise.
func newCacheRemoveCommand(a *cli.App) *cobra.Command {
	var all bool
	var name string
	c := &cobra.Command{
		Use: "rm ID [ID...]", Short: "Remove cache mounts",
		Long: `Remove cache mounts of the project that the working directory belongs to, and those that have no scope. An id that only one
other scope has needs no --scope.`,
		Example: "  gbuild cache rm /root/.cache/pip\n  gbuild cache rm --scope pr-12 pip\n  gbuild cache rm --all",
		RunE: func(c *cobra.Command, args []string) error {
			// Neither and both are refused: a script whose list of ids is empty by mistake must not empty everything.
			if all == (len(args) > 0) {
				return cli.Usage(hint.Errorf("gbuild cache ls lists them", "name the caches to remove, or give --all"))
			}
			choose := func(list []pipcache.Info) ([]pipcache.Info, error) { return list, nil }
			if !all {
				choose = func(list []pipcache.Info) ([]pipcache.Info, error) { return cachesOfAll(a.Environ, list, name, args) }
			}
			return a.MustEnter(c.Context(), func(ctx context.Context) error { return removeCaches(ctx, a, choose) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "remove every cache mount, of all scopes")
	c.Flags().StringVar(&name, "scope", "", "NAME of the --cache-scope whose caches are meant, or all")
	return c
}

// removeCaches removes those of all caches that are chosen.
func removeCaches(ctx context.Context, a *cli.App, choose func([]pipcache.Info) ([]pipcache.Info, error)) error {
	caches, err := a.OpenCaches()
	if err != nil {
		return err
	}
	list, err := caches.List()
	if err != nil {
		return err
	}
	chosen, err := choose(list)
	if err != nil {
		return err
	}
	// Two ids may mean one cache. It is removed and counted once.
	doomed := map[string]bool{}
	for _, i := range chosen {
		doomed[i.Key] = true
	}
	freed, err := caches.Remove(ctx, slices.Sorted(maps.Keys(doomed))...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "Removed %d, freed %s\n", len(doomed), cli.HumanSize(freed))
	return err
}

// cachesOfAll finds the caches that any of the ids means.
func cachesOfAll(environ cli.Environment, list []pipcache.Info, name string, ids []string) (all []pipcache.Info, err error) {
	for _, id := range ids {
		found, err := cachesOf(environ, list, name, id)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// cachesOf finds the caches that an id means in a scope: of a name, in all, or in that of the project that the working
// directory belongs to; there is no other then that has the id, or the one that has it is meant.
func cachesOf(environ cli.Environment, list []pipcache.Info, name, id string) ([]pipcache.Info, error) {
	if name == "all" {
		return pipcache.Match(list, id)
	}
	// Without --scope, caches that have no scope count as well as those of the project.
	trust := environ.ScopeOf(name, ".")
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
