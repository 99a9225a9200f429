// This file owns gbuild cache prune: what no build used of late leaves the caches of this machine, or a shared one.

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// newCachePruneCommand is two commands in one: with --remote it is about a shared cache, else about this machine.
func newCachePruneCommand(a *cli.App) *cobra.Command {
	var ref string
	var keep time.Duration
	c := &cobra.Command{
		Use: "prune [--remote REF]", Short: "Remove what pip and uv built, or entries of a shared cache, that no build used of late", Args: cobra.NoArgs,
		Long: `Remove caches of what pip and uv built that no build used of late, or that are more than 10 GB together; what they fetched
stays. With --remote, remove the entries of a cache that --cache-to filled, in a registry, when no build with --cache-to has used
them of late. The registry frees their layers at its next garbage collection. Images and other tags of the repository stay.`,
		Example: "  gbuild cache prune --keep 168h\n  gbuild cache prune --remote registry.example/me/cache --keep 336h",
		RunE: func(c *cobra.Command, _ []string) error {
			// Only this machine's caches have files of other ids. A registry is asked from the user's own process.
			if ref == "" {
				return a.MustEnter(c.Context(), func(ctx context.Context) error { return pruneBuilt(ctx, a, keep) })
			}
			place, err := image.ParseName(ref)
			if err != nil {
				return cli.Usage(err)
			}
			images, err := image.NewCollection(place, a.Registries.Options())
			if err != nil {
				return cli.Usage(err)
			}
			return pruneShared(c.Context(), a.Stdout, images, time.Now().Add(-keep))
		},
	}
	c.Flags().StringVar(&ref, "remote", "", "repository of a shared cache")
	c.Flags().DurationVar(&keep, "keep", 30*24*time.Hour, "keep what was used in this time")
	a.Registries.AddInsecure(c.Flags())
	return c
}

// pruneBuilt removes caches of what was built.
func pruneBuilt(ctx context.Context, a *cli.App, keep time.Duration) error {
	caches, err := a.OpenCaches()
	if err != nil {
		return err
	}
	freed, err := caches.TrimBuilt(ctx, toolcache.BuiltCaches, keep, pipcache.BuiltSize)
	if err == nil {
		_, err = fmt.Fprintf(a.Stdout, "Freed %s\n", cli.HumanSize(freed))
	}
	return err
}

// pruneShared removes the entries that were last used before a time.
func pruneShared(ctx context.Context, w io.Writer, images *image.Collection, before time.Time) error {
	tags, err := images.Tags(ctx)
	if err != nil {
		return err
	}
	removed, kept := 0, 0
	for _, tag := range tags {
		// Other tags of the repository are images of somebody. They are not even opened.
		if !strings.HasPrefix(tag, sharedcache.TagPrefix) {
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
		// The time of an entry's image is that of its last use, exact to a day: builds with --cache-to write it anew.
		if !config.Created.Before(before) {
			kept++
			continue
		}
		// The first refusal ends it: a registry that does not allow one removal allows none.
		if err := images.Remove(ctx, tag); err != nil {
			return fmt.Errorf("removing entry %s: %w", tag, err)
		}
		removed++
	}
	_, err = fmt.Fprintf(w, "Removed %d, kept %d\n", removed, kept)
	return err
}
