// This file owns the commands that end containers, or send them a signal. A container whose restart policy says always does
// not start again after stop, rm -f and kill -s KILL; any other signal only reaches its command.

package main

import (
	"cmp"
	"context"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
)

// stopOptions are the flags of the commands that ask containers to end.
type stopOptions struct {
	timeout int
	signal  string
}

func (o *stopOptions) add(f *pflag.FlagSet) {
	f.IntVarP(&o.timeout, "time", "t", 10, "seconds until it is killed; -1 waits for ever")
	f.IntVar(&o.timeout, "timeout", 10, "the same as --time")
	_ = f.MarkHidden("timeout")
	f.StringVarP(&o.signal, "signal", "s", "", "signal to ask with (default: the container's)")
}

// stop asks a container by its own signal, and gives it its own time, but for what the flags say.
func (o *stopOptions) stop(c *cobra.Command, one *container.Container) error {
	wait := one.StopTimeout // the time that gbuild run was given
	if c.Flags().Changed("time") || c.Flags().Changed("timeout") {
		wait = o.timeout
	}
	// The signal is that of -s, else that of gbuild run or of the image, which the entry of the container has.
	signal, err := cli.ParseSignal(cmp.Or(o.signal, one.StopSignal, "SIGTERM"))
	if err != nil {
		return err
	}
	return one.Stop(signal, wait)
}

// newStopCommand goes from one container to the next.
func newStopCommand(a *cli.App) *cobra.Command {
	var o stopOptions
	c := &cobra.Command{
		Use: "stop CONTAINER [CONTAINER...]", Short: "End containers: ask, and kill after a while", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild stop api\n  gbuild stop -t 60 trainer",
		RunE: func(c *cobra.Command, args []string) error {
			return eachContainer(a, args, func(one *container.Container) error { return o.stop(c, one) })
		},
	}
	o.add(c.Flags())
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

// newRmCommand removes the entry of a container, with its log and its files. These may belong to any id.
func newRmCommand(a *cli.App) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "rm CONTAINER [CONTAINER...]", Short: "Forget containers that have ended, with their logs and files", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild rm api\n  gbuild rm -f api trainer",
		RunE: func(c *cobra.Command, args []string) error {
			return withFiles(c.Context(), a, args, func() error {
				return eachContainer(a, args, func(c *container.Container) error {
					if c.Status != container.StatusExited && !force {
						return hint.Errorf("stop it before, or use -f", "container %s is running", c.Name)
					}
					if err := c.Stop(syscall.SIGKILL, 0); err != nil {
						return err
					}
					return c.Remove()
				})
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill those that run")
	c.Flags().BoolP("volumes", "v", false, "taken for docker's sake: named volumes stay, and others go in any case")
	return c
}

// withFiles does something where the files of containers can be reached, if one of these has any.
func withFiles(ctx context.Context, a *cli.App, names []string, do func() error) error {
	for _, name := range names {
		if c, err := findContainer(a, name); err == nil && c.HasFiles() {
			return a.MustEnter(ctx, func(context.Context) error { return do() })
		}
	}
	return do()
}
