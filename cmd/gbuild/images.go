// This file owns the commands about the images of the store that stay here: listing them, and removing what is not needed.

package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
)

// newImagesCommand lists images as docker does, with its templates.
func newImagesCommand(a *cli.App) *cobra.Command {
	var quiet, digests bool
	var format string
	c := &cobra.Command{
		Use: "images [NAME]", Short: "List the images of the local store", Args: cobra.MaximumNArgs(1),
		Example: "  gbuild images\n  gbuild images my-agent --format 'table {{.Repository}}\\t{{.Tag}}\\t{{.Size}}'",
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := imageRows(a, strings.Join(args, ""))
			if err != nil {
				return err
			}
			// -q wins over --format, and --format over --digests.
			if quiet {
				format = "{{.ID}}"
			} else if format == "" {
				format = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
				if digests {
					format = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
				}
			}
			return a.PrintTable(format, rows)
		},
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print ids only")
	c.Flags().BoolVar(&digests, "digests", false, "print digests, too")
	c.Flags().StringVar(&format, "format", "", "a Go template, as docker images takes it")
	return c
}

// imageRow has the fields that docker's --format knows.
type imageRow struct {
	Repository, Tag, ID, Digest, CreatedSince, CreatedAt, Size string
}

// imageRows are the images with this name or repository; with an empty one, all.
func imageRows(a *cli.App, only string) ([]any, error) {
	store, err := a.OpenStore(a.Notice)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	list, err := store.Images()
	if err != nil {
		return nil, err
	}
	var rows []any
	for _, i := range list {
		// The store has full names, registry and all; people see and write the short ones.
		ref, err := image.ParseRef(i.Name)
		if err != nil {
			continue
		}
		familiar := ref
		familiar.Tag, familiar.Digest = "", ""
		repository := familiar.Familiar()
		// docker images takes a repository, which means all its tags, or one name with its tag.
		if only != "" && only != repository && only != ref.Familiar() {
			continue
		}
		rows = append(rows, imageRow{repository, cmp.Or(ref.Tag, "<none>"), cli.Short(i.ID.Hex), i.Digest.String(),
			cli.Ago(i.Created), i.Created.UTC().Format("2006-01-02 15:04:05 +0000 UTC"), cli.HumanSize(i.Size)})
	}
	return rows, nil
}

// newRmiCommand takes names away. The files go at the next gbuild prune, when no step needs them any more.
func newRmiCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "rmi IMAGE [IMAGE...]", Short: "Remove names of local images, and the files that nothing else needs", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild rmi my-agent:v1",
		RunE: func(c *cobra.Command, args []string) error {
			return a.InStore(c.Context(), func(_ context.Context, store *layers.Store) error {
				for _, n := range args {
					ref, err := image.ParseName(n)
					if err != nil {
						return err
					}
					// The first name that is not there ends the command. Names before it are gone, and were printed.
					if err := store.Untag(ref.String()); err != nil {
						return err
					}
					fmt.Fprintln(a.Stdout, "Untagged:", ref.Familiar())
				}
				return nil
			})
		},
	}
}

// newPruneCommand frees what no name leads to.
func newPruneCommand(a *cli.App) *cobra.Command {
	var keep time.Duration
	c := &cobra.Command{
		Use: "prune", Short: "Remove stored steps and layers that no image needs and that were not used of late", Args: cobra.NoArgs,
		Long:    "Remove stored steps and layers that no local image needs and that were not used of late. Cache mounts stay: see gbuild cache rm.",
		Example: "  gbuild prune\n  gbuild prune --keep 168h",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.InStore(c.Context(), func(ctx context.Context, store *layers.Store) error {
				// Layers that a running build or container uses are leased, and stay whatever keep says.
				needed, err := statesOfContainers(a)
				if err != nil {
					return err
				}
				report, err := store.Prune(ctx, keep, needed...)
				if err == nil {
					fmt.Fprintf(a.Stdout, "Reclaimed %s\n", cli.HumanSize(report.Freed))
				}
				return err
			})
		},
	}
	c.Flags().DurationVar(&keep, "keep", time.Hour, "leave what was made in this time")
	return c
}
