// This file owns the commands that give life to containers that were there before, and those that wait for their end or connect a
// terminal with them.

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/running"
	"github.com/gbuild/gbuild/pkg/container"
)

// newStartCommand starts containers again with their files, their command line and their image as they were.
func newStartCommand(a *cli.App) *cobra.Command {
	var s running.StartOptions
	var o running.AttachOptions
	c := &cobra.Command{
		Use: "start CONTAINER [CONTAINER...]", Short: "Start containers again that have ended", Args: cobra.MinimumNArgs(1),
		Long: `Start containers again that have ended: those of gbuild run -d, without --rm. They have their files, what the flags said, and the image that they began with.`,
		Example: `  gbuild start api trainer
  gbuild start -ai shell`,
		RunE: func(c *cobra.Command, args []string) error {
			if !s.Attached && !o.Input {
				return eachContainer(a, args, func(one *container.Container) error { return running.Start(c.Context(), a, one, s) })
			}
			if len(args) > 1 {
				return cli.Usagef("you cannot start and attach multiple containers at once")
			}
			return a.ContainerExit(startAttached(c.Context(), a, args[0], s, o))
		},
	}
	c.Flags().BoolVarP(&s.Attached, "attach", "a", false, "print what it says, hand signals on, and end with its exit code")
	c.Flags().BoolVarP(&o.Input, "interactive", "i", false, "pass standard input on, too")
	c.Flags().BoolVar(&s.Once, "no-restart", false, "end with the command, whatever gbuild run --restart said (for units of systemd)")
	addAttachFlags(c.Flags(), &o)
	return c
}

// startAttached starts one, and stays with it.
func startAttached(ctx context.Context, a *cli.App, name string, s running.StartOptions, o running.AttachOptions) error {
	c, err := findContainer(a, name)
	if err != nil {
		return err
	}
	s.Attached = true
	if err := running.Start(ctx, a, c, s); err != nil {
		return err
	}
	o.Begin = true
	return running.Attach(a, c, o)
}

func addAttachFlags(f *pflag.FlagSet, o *running.AttachOptions) {
	f.StringVar(&o.Keys, "detach-keys", cli.DefaultDetachKeys, "keys by which you leave the container, which goes on")
	f.BoolVar(&o.SigProxy, "sig-proxy", true, "hand signals on to the command, if it has no terminal")
}

// newRestartCommand ends what runs, and starts it again.
func newRestartCommand(a *cli.App) *cobra.Command {
	var o stopOptions
	c := &cobra.Command{
		Use: "restart CONTAINER [CONTAINER...]", Short: "End containers and start them again", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild restart api\n  gbuild restart -t 60 trainer",
		RunE: func(c *cobra.Command, args []string) error {
			return eachContainer(a, args, func(one *container.Container) error {
				// What cannot be started again is not ended either.
				if err := running.CanStart(one); err != nil {
					return err
				}
				if err := o.stop(c, one); err != nil {
					return err
				}
				return running.Start(c.Context(), a, one, running.StartOptions{})
			})
		},
	}
	o.add(c.Flags())
	return c
}

// newWaitCommand prints exit codes in the order of the names.
func newWaitCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "wait CONTAINER [CONTAINER...]", Short: "Wait until containers end, and print their exit codes", Args: cobra.MinimumNArgs(1),
		Example: "  test $(gbuild wait trainer) = 0 && echo trained",
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for _, name := range args {
				c, err := findContainer(a, name)
				code := 0
				if err == nil {
					code, err = c.ExitedWith()
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(a.Stdout, code)
			}
			return errors.Join(errs...)
		},
	}
}

// newAttachCommand ends with the exit code of the container, or when the user types the keys.
func newAttachCommand(a *cli.App) *cobra.Command {
	var noStdin bool
	var o running.AttachOptions
	c := &cobra.Command{
		Use: "attach CONTAINER", Short: "Connect the terminal, or standard input and output, with a detached container", Args: cobra.ExactArgs(1),
		Long: `Connect the terminal, or standard input and output, with a container that was started with -d; with -i it reads what you type, too.
What it said before is in gbuild logs. A container with a terminal (-t) is left by ctrl-p ctrl-q, and goes on.`,
		Example: "  gbuild run -dit --name shell my-agent bash && gbuild attach shell\n  gbuild attach --detach-keys ctrl-x --no-stdin trainer",
		RunE: func(_ *cobra.Command, args []string) error {
			one, err := findContainer(a, args[0])
			if err != nil {
				return err
			}
			o.Input = !noStdin
			return a.ContainerExit(running.Attach(a, one, o))
		},
	}
	c.Flags().BoolVar(&noStdin, "no-stdin", false, "do not pass standard input on")
	addAttachFlags(c.Flags(), &o)
	return c
}

// newRenameCommand gives a container another name, also one that runs.
func newRenameCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "rename CONTAINER NAME", Short: "Give a container another name", Args: cobra.ExactArgs(2),
		Example: "  gbuild rename run-0123456789ab trainer",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := findContainer(a, args[0])
			if err != nil {
				return err
			}
			all, err := a.Containers()
			if err != nil {
				return err
			}
			err = all.Rename(c, args[1])
			var bad *container.NameError
			if errors.As(err, &bad) {
				return cli.Usage(err)
			}
			return err
		},
	}
}
