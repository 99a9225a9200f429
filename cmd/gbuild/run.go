// This file owns gbuild run: its words. What they mean is in internal/running.

package main

import (
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/running"
)

// newRunCommand makes the command. It is executed by up to three processes, one after the other: see internal/running.
func newRunCommand(a *cli.App) *cobra.Command {
	o := running.New()
	c := &cobra.Command{
		Use: "run [flags] IMAGE [COMMAND [ARG...]]", Short: "Run a command in an image, with GPUs where asked for", Args: cobra.MinimumNArgs(1),
		Long: `Run a command in an image: a local name, a registry reference (pulled where it is not here), oci:DIR or an archive.
What the command writes outside of volumes is discarded when it ends.

EXIT STATUS: that of the command; 64 this host lacks something, 125 the container could not be started, 126 the command cannot be run, 127 it was not found.`,
		Example: `  gbuild run my-agent python3 train.py
  gbuild run --gpus all -it -v $(pwd)/outputs:/workspace/outputs --caches --env-file .env my-agent bash
  gbuild run -d --name api -p 8000:8000 my-agent && gbuild logs -f api`,
		RunE: func(c *cobra.Command, args []string) error {
			o.Image.Name, o.Process.Args = args[0], args[1:]
			o.Given(c.Flags(), a.Environ)
			return a.ContainerExit(o.Run(c.Context(), a))
		},
	}
	o.Flags(c.Flags())
	a.Registries.AddInsecure(c.Flags())
	return c
}
