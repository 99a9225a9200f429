// This file owns gbuild bud: the command line of buildah bud.

package main

import (
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/buildah"
	"github.com/gbuild/gbuild/internal/cli"
)

// newBudCommand makes the command, whose errors end with buildah's exit codes.
func newBudCommand(a *cli.App) *cobra.Command {
	line := buildah.New()
	c := &cobra.Command{
		Use:     "bud [flags] [CONTEXT]",
		Aliases: []string{"build-using-dockerfile"},
		Short:   "Build an image by the command line of buildah bud",
		Long: `Build an image by the command line of buildah bud; what gbuild build has besides works as well. Without CONTEXT it is the
working directory. Flags that ask for what gbuild does not have are refused, with the way to do the same.

EXIT STATUS: 0; that of the command of a RUN that failed; 125 for all else; 130 interrupted.`,
		Example: `  gbuild bud -t my-agent .
  gbuild bud --format docker --layers -f Containerfile -t registry.example/me/app:v1`,
		RunE: func(c *cobra.Command, args []string) error {
			return cli.CodeOfRun(line.Run(c.Context(), a, args), buildah.ExitFailed)
		},
	}
	line.Flags(c.Flags(), a)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return cli.WithCode(buildah.ExitFailed, cli.SuggestFlag(c, err))
	})
	return c
}
