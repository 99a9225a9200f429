// This file owns gbuild volume. Volumes have files of subordinate ids, which only a process in the namespaces can reach.

package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// newVolumeCommand groups the commands about volumes. They enter the namespace: files of a volume may belong to any id.
func newVolumeCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{Use: "volume", Short: "List, show and remove the named volumes of gbuild run"}
	c.AddCommand(newVolumeListCommand(a), newVolumeInspectCommand(a), newVolumeRemoveCommand(a))
	return c
}

// withVolumes does something to the volumes where the files in them can be reached.
func withVolumes(a *cli.App, do func(context.Context, container.Volumes, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, names []string) error {
		return a.MustEnter(c.Context(), func(ctx context.Context) error {
			volumes, err := a.Volumes()
			if err != nil {
				return err
			}
			return do(ctx, volumes, names)
		})
	}
}

// newVolumeListCommand lists all volumes, those of ended containers too: a volume is removed by its name only.
func newVolumeListCommand(a *cli.App) *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List volumes with size and last use", Args: cobra.NoArgs,
		Example: "  gbuild volume ls\n  gbuild volume ls -q",
		RunE: withVolumes(a, func(_ context.Context, volumes container.Volumes, _ []string) error {
			list, err := volumes.List()
			if err != nil {
				return err
			}
			return printVolumes(a, list, quiet)
		}),
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only")
	return c
}

// printVolumes prints sizes as docker does: in powers of ten.
func printVolumes(a *cli.App, list []container.Volume, quiet bool) error {
	w := tabwriter.NewWriter(a.Stdout, 0, 1, 3, ' ', 0)
	if !quiet {
		fmt.Fprintln(w, "VOLUME NAME\tSIZE\tLAST USED")
	}
	for _, v := range list {
		if quiet {
			fmt.Fprintln(w, v.ID)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.ID, cli.HumanSize(v.Size), cli.Ago(v.LastUsed))
	}
	return w.Flush()
}

// newVolumeInspectCommand prints the fields of docker volume inspect that have a meaning here. The driver is always local:
// it is in the output for scripts that ask for it.
func newVolumeInspectCommand(a *cli.App) *cobra.Command {
	type volume struct{ Name, Driver, Mountpoint string }
	return &cobra.Command{
		Use: "inspect VOLUME [VOLUME...]", Short: "Print where volumes are, as JSON", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild volume inspect data",
		RunE: withVolumes(a, func(_ context.Context, volumes container.Volumes, names []string) error {
			found, err := volumes.Find(names...)
			if err != nil {
				return err
			}
			all := []volume{}
			for _, v := range found {
				all = append(all, volume{v.ID, "local", v.Dir})
			}
			return a.PrintJSON(all, "    ")
		}),
	}
}

// newVolumeRemoveCommand removes volumes one after the other. All names are looked up before the first is removed, so that a
// misspelt one removes nothing. One that a container uses is refused by pkg/container.
func newVolumeRemoveCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "rm VOLUME [VOLUME...]", Short: "Remove volumes, with what is in them", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild volume rm data",
		RunE: withVolumes(a, func(ctx context.Context, volumes container.Volumes, names []string) error {
			found, err := volumes.Find(names...)
			if err != nil {
				return err
			}
			containers, err := a.Containers()
			if err != nil {
				return err
			}
			for _, v := range found {
				if err := volumes.Remove(ctx, v, containers); err != nil {
					return err
				}
				fmt.Fprintln(a.Stdout, v.ID)
			}
			return nil
		}),
	}
}
