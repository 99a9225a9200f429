package main

import (
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/hint"
)

func newRmCommand(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "rm CONTAINER [CONTAINER...]", Short: "Forget containers that have ended, with their logs", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild rm api\n  gbuild rm -f api trainer",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.eachContainer(args, func(c *container) error {
				if c.Status != statusExited && !force {
					return hint.Errorf("stop it before, or use -f", "container %s is running", c.Name)
				}
				if err := c.stop(syscall.SIGKILL, 0); err != nil && !os.IsNotExist(err) {
					return err
				}
				return os.RemoveAll(c.dir)
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill those that run")
	return c
}
