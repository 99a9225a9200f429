// This file owns the commands that end containers, or send them a signal. A container whose restart policy says always does
// not start again after stop, rm -f and kill -s KILL; any other signal only reaches its command.

package main

import (
	"cmp"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
)

// newStopCommand asks each container by its own signal, and gives it its own time.
func newStopCommand(a *cli.App) *cobra.Command {
	var timeout int
	var name string
	c := &cobra.Command{
		Use: "stop CONTAINER [CONTAINER...]", Short: "End containers: ask, and kill after a while", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild stop api\n  gbuild stop -t 60 trainer",
		RunE: func(c *cobra.Command, args []string) error {
			return eachContainer(a, args, func(one *container.Container) error {
				wait := one.StopTimeout // the time that gbuild run was given, unless this command has -t
				if c.Flags().Changed("time") {
					wait = timeout
				}
				// The signal is that of -s, else that of gbuild run or of the image, which the entry of the container has.
				signal, err := cli.ParseSignal(cmp.Or(name, one.StopSignal, "SIGTERM"))
				if err != nil {
					return err
				}
				return one.Stop(signal, wait)
			})
		},
	}
	c.Flags().IntVarP(&timeout, "time", "t", 10, "seconds until it is killed; -1 waits for ever")
	c.Flags().StringVarP(&name, "signal", "s", "", "signal to ask with (default: the container's)")
	return c
}

// newKillCommand does not wait for the end, unless the signal leaves no choice.
func newKillCommand(a *cli.App) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "kill CONTAINER [CONTAINER...]", Short: "Send a signal to containers", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild kill api\n  gbuild kill -s HUP api",
		RunE: func(_ *cobra.Command, args []string) error {
			signal, err := cli.ParseSignal(name)
			if err != nil {
				return err
			}
			return eachContainer(a, args, func(c *container.Container) error {
				if signal == syscall.SIGKILL { // then it is over, and is not to be started again
					return c.Stop(signal, 0)
				}
				return c.Signal(signal)
			})
		},
	}
	c.Flags().StringVarP(&name, "signal", "s", "SIGKILL", "signal to send")
	return c
}

// newRmCommand removes the entry of a container, and its log.
func newRmCommand(a *cli.App) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "rm CONTAINER [CONTAINER...]", Short: "Forget containers that have ended, with their logs", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild rm api\n  gbuild rm -f api trainer",
		RunE: func(_ *cobra.Command, args []string) error {
			return eachContainer(a, args, func(c *container.Container) error {
				if c.Status != container.StatusExited && !force {
					return hint.Errorf("stop it before, or use -f", "container %s is running", c.Name)
				}
				if err := c.Stop(syscall.SIGKILL, 0); err != nil {
					return err
				}
				return c.Remove()
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill those that run")
	return c
}
