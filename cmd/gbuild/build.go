// This file owns gbuild build: its words. What they mean is in internal/building.

package main

import (
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// newBuildCommand makes the command, whose options say all that is to be done.
func newBuildCommand(a *cli.App) *cobra.Command {
	o := building.New()
	c := &cobra.Command{
		Use:   "build [flags] CONTEXT",
		Short: "Build an image from a Dockerfile",
		Long: `Build an image from a Dockerfile. CONTEXT is a directory, a tarball, a git or http URL, or - for standard input
(a tar, or a Dockerfile by itself). Nothing has to run as root, and no daemon is needed.

EXIT STATUS: 0; 1 the build failed; 2 the command line is wrong; 64 this host lacks something; 130 interrupted.`,
		Example: `  gbuild build -t my-agent .
  gbuild build --name my-agent --tag v1.0 .
  gbuild build -t registry.example/me/app:v1 --push .
  gbuild build -o type=docker,dest=app.tar -t app .
  gbuild build --layers=per-step -t app .
  IMAGE_TAG=dev gbuild build .`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(hint.Errorf("for this directory: gbuild build .", "gbuild build takes one CONTEXT, not %d", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.Source.Context = args[0]
			_, err := o.Run(c.Context(), a)
			return err
		},
	}
	o.Flags(c.Flags(), a)
	return c
}
