package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
)

func newCachePruneCommand(a *app) *cobra.Command {
	var ref string
	var keep time.Duration
	c := &cobra.Command{
		Use: "prune --remote REF", Short: "Remove entries of a shared cache that no build used of late", Args: cobra.NoArgs,
		Long: `Remove the entries of a cache that --cache-to filled, in a registry, when no build with --cache-to has used them of
late. The registry frees their layers at its next garbage collection. Images and other tags of the repository stay.`,
		Example: "  gbuild cache prune --remote registry.example/me/cache --keep 336h",
		RunE: func(c *cobra.Command, _ []string) error {
			if ref == "" {
				return usageError{hinted{fmt.Errorf("--remote REF is missing"), "gbuild prune is for this machine, gbuild cache rm for cache mounts"}}
			}
			place, err := registryRef(ref)
			if err != nil {
				return usageError{err}
			}
			images, err := image.NewCollection(place, a.imageOptions())
			if err != nil {
				return usageError{err}
			}
			return a.pruneShared(c.Context(), images, time.Now().Add(-keep))
		},
	}
	c.Flags().StringVar(&ref, "remote", "", "repository of the cache")
	c.Flags().DurationVar(&keep, "keep", 30*24*time.Hour, "keep what was used in this time")
	a.addInsecure(c.Flags())
	return c
}

// pruneShared removes the entries that were last used before a time.
func (a *app) pruneShared(ctx context.Context, images *image.Collection, before time.Time) error {
	tags, err := images.Tags(ctx)
	if err != nil {
		return err
	}
	removed, kept := 0, 0
	for _, tag := range tags {
		if !strings.HasPrefix(tag, build.SharedPrefix) {
			continue
		}
		img, err := images.Open(ctx, tag)
		if err != nil {
			return err
		}
		config, err := img.ConfigFile()
		if err != nil {
			return err
		}
		if !config.Created.Before(before) {
			kept++
			continue
		}
		if err := images.Remove(ctx, tag); err != nil {
			return fmt.Errorf("removing entry %s: %w", tag, err)
		}
		removed++
	}
	_, err = fmt.Fprintf(a.stdout, "Removed %d, kept %d\n", removed, kept)
	return err
}
