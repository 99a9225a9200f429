// This file owns gbuild kaniko: kaniko's command line, which a program called executor has for its own.

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/kaniko"
)

// newKanikoCommand makes the command, whose errors end with kaniko's exit codes.
func newKanikoCommand(a *cli.App) *cobra.Command {
	line, isolation := kaniko.NewLine(), cli.IsolationFlag{}
	c := &cobra.Command{
		Use:   "kaniko [flags]",
		Short: "Build and push an image by the command line of kaniko's executor",
		Long: `Build and push an image by the command line of kaniko's executor: its flags, its files, its variables and its exit codes.
A link to gbuild that is called executor takes the same flags. What differs is in docs/from-kaniko.md.

EXIT STATUS: 0; that of the command of a RUN that failed; 1 for all else; 130 interrupted.`,
		Example: `  gbuild kaniko --context=dir:///workspace --destination=registry.example/team/app:v1
  gbuild kaniko --context=git://git.example/team/app.git#refs/heads/main --destination=registry.example/team/app:v1 --cache=true
  tar -czf - . | gbuild kaniko --context=tar://stdin --no-push --tar-path=app.tar`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.WithCode(cli.ExitFailed, hint.Errorf("the context is --context=DIR", "gbuild kaniko takes flags only, and not %q", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.CodeOfRun(line.Run(c.Context(), a, c.Flags(), isolation), cli.ExitFailed)
		},
	}
	line.Register(c.Flags())
	isolation.Add(c.Flags())
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return cli.WithCode(cli.ExitFailed, cli.SuggestFlag(c, err)) })
	c.SetUsageFunc(func(c *cobra.Command) error {
		_, err := fmt.Fprintf(c.OutOrStdout(), "Usage:\n  %s\n\nExamples:\n%s\n%s", c.UseLine(), c.Example, line.Usage(c.Flags()))
		return err
	})
	version := newVersionCommand(a)
	version.Hidden, version.Example = true, "  executor version"
	c.AddCommand(version)
	return c
}
