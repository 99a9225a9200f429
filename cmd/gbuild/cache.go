package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"
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
	fmt.Fprintf(a.stdout, "%-40s %10s  %-16s %s\n", "ID", "SIZE", "LAST USED", "WHEELS")
	for _, i := range list {
		var names []string
		for _, w := range i.Wheels {
			names = append(names, w.Name+" "+w.Version)
		}
		text := strings.Join(names, ", ")
		if wheels {
			text = fmt.Sprint(len(names))
		}
		fmt.Fprintf(a.stdout, "%-40s %10s  %-16s %s\n", i.ID, units.HumanSizeWithPrecision(float64(i.Size), 3), units.HumanDuration(time.Since(i.LastUsed))+" ago", text)
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
	c := &cobra.Command{
		Use: "rm ID [ID...]", Short: "Remove cache mounts",
		Example: "  gbuild cache rm /root/.cache/pip\n  gbuild cache rm --all",
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{hinted{fmt.Errorf("name the caches to remove, or give --all"), "gbuild cache ls lists them"}}
			}
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return a.removeCaches(ctx, all, args) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "remove every cache mount")
	return c
}

func (a *app) removeCaches(ctx context.Context, all bool, ids []string) error {
	caches, err := a.openCaches()
	if err != nil {
		return err
	}
	if all {
		list, err := caches.List()
		if err != nil {
			return err
		}
		for _, i := range list {
			ids = append(ids, i.ID)
		}
	}
	freed, err := caches.Remove(ctx, ids...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Removed %d, freed %s\n", len(ids), units.HumanSizeWithPrecision(float64(freed), 3))
	return err
}
