// This file owns gbuild gpu: the GPUs of this host, for people and as a CDI spec.

package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// newGPUCommand groups the commands about GPUs.
func newGPUCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{Use: "gpu", Short: "Show the GPUs of this host"}
	c.AddCommand(newGPUListCommand(a), newGPUCDICommand(a))
	return c
}

// newGPUListCommand lists what --gpus and --device can name. Without a driver it lists what CDI specs have.
func newGPUListCommand(a *cli.App) *cobra.Command {
	var sources cli.DeviceSources
	c := &cobra.Command{
		Use: "list", Short: "List GPUs, and the CDI devices that --device takes", Args: cobra.NoArgs,
		Example: "  gbuild gpu list",
		RunE: func(c *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(a.Stdout, 0, 1, 3, ' ', 0)
			driver, err := sources.Driver(c.Context())
			if err != nil {
				// No driver is no error of this command: CDI specs can name devices of other makers.
				fmt.Fprintf(a.Stderr, "gbuild: %v\n", err)
				if remedy := hint.Of(err); remedy != "" {
					fmt.Fprintf(a.Stderr, "gbuild: hint: %s\n", remedy)
				}
			} else {
				writeGPUs(w, driver)
			}
			catalog, err := sources.Catalog(c.Context(), a.Environ)
			if err != nil {
				return err
			}
			if names := catalog.Names(); len(names) > 0 {
				fmt.Fprintf(w, "CDI devices: %s\n", strings.Join(names, ", "))
			}
			for _, n := range catalog.Notices {
				fmt.Fprintf(a.Stderr, "gbuild: %s\n", n)
			}
			for _, e := range catalog.Errors {
				fmt.Fprintf(a.Stderr, "gbuild: warning: %v\n", e)
			}
			return w.Flush()
		},
	}
	sources.Flags(c.Flags())
	return c
}

// writeGPUs writes a line for each GPU, and one for each part of it.
func writeGPUs(w *tabwriter.Writer, d *gpu.Driver) {
	if d.Platform != "" { // its GPUs have no names of their own
		fmt.Fprintf(w, "NVIDIA driver of %s: all GPUs at once\n", d.Platform)
		return
	}
	fmt.Fprintf(w, "NVIDIA driver %s\n", cmp.Or(d.Version, "of unknown version"))
	fmt.Fprintln(w, "INDEX\tNODE\tMODEL\tUUID\tBUS")
	// A line of a MIG instance has the columns of a GPU. Node and bus are empty: they are those of the GPU above.
	for _, g := range d.GPUs {
		fmt.Fprintf(w, "%d\t/dev/nvidia%d\t%s\t%s\t%s\n", g.Index, g.Minor, cmp.Or(g.Model, "?"), cmp.Or(g.UUID, "?"), cmp.Or(g.BusID, "?"))
		for _, m := range g.MIG {
			fmt.Fprintf(w, "%d:%d\t\tMIG instance %d/%d\t%s\t\n", g.Index, m.Index, m.GI, m.CI, cmp.Or(m.UUID, "?"))
		}
	}
}

// newGPUCDICommand prints what other programs need to hand GPUs to containers.
func newGPUCDICommand(a *cli.App) *cobra.Command {
	var sources cli.DeviceSources
	c := &cobra.Command{
		Use: "cdi", Short: "Print the CDI spec of this host's NVIDIA driver", Args: cobra.NoArgs,
		Example: "  gbuild gpu cdi > ~/.config/cdi/nvidia.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			driver, err := sources.Driver(c.Context())
			if err != nil {
				return err
			}
			spec, err := driver.Spec()
			if err != nil {
				return err
			}
			// The spec goes out as it is; the other stream changes what is not fit to be shown.
			text, err := gpu.MarshalSpec(spec)
			if err == nil {
				_, err = a.RawOut.Write(text)
			}
			return err
		},
	}
	sources.Flags(c.Flags())
	return c
}
