package main

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"
)

func newStopCommand(a *app) *cobra.Command {
	var timeout int
	var signal string
	c := &cobra.Command{
		Use: "stop CONTAINER [CONTAINER...]", Short: "End containers: ask, and kill after a while", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild stop api\n  gbuild stop -t 60 trainer",
		RunE: func(c *cobra.Command, args []string) error {
			return a.eachContainer(args, func(one *container) error {
				wait := one.StopTimeout
				if c.Flags().Changed("time") {
					wait = timeout
				}
				sig, err := parseSignal(cmp.Or(signal, one.StopSignal, "SIGTERM"))
				if err != nil {
					return err
				}
				return one.stop(sig, wait)
			})
		},
	}
	c.Flags().IntVarP(&timeout, "time", "t", 10, "seconds until it is killed; -1 waits for ever")
	c.Flags().StringVarP(&signal, "signal", "s", "", "signal to ask with (default: the container's)")
	return c
}

func newKillCommand(a *app) *cobra.Command {
	var signal string
	c := &cobra.Command{
		Use: "kill CONTAINER [CONTAINER...]", Short: "Send a signal to containers", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild kill api\n  gbuild kill -s HUP api",
		RunE: func(_ *cobra.Command, args []string) error {
			sig, err := parseSignal(signal)
			if err != nil {
				return err
			}
			return a.eachContainer(args, func(c *container) error {
				if sig == syscall.SIGKILL {
					return c.stop(sig, 0)
				}
				return c.request(request{Op: "signal", Signal: int(sig)})
			})
		},
	}
	c.Flags().StringVarP(&signal, "signal", "s", "SIGKILL", "signal to send")
	return c
}

// eachContainer does one thing to all of them, and prints the names of those that it was done to.
func (a *app) eachContainer(names []string, do func(*container) error) error {
	var errs []error
	for _, n := range names {
		c, err := a.findContainer(n)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(a.stdout, n)
	}
	return errors.Join(errs...)
}

// stop asks the container to end, and waits until it has.
func (c *container) stop(sig syscall.Signal, timeout int) error {
	if c.Status == statusExited {
		return nil
	}
	if err := c.request(request{Op: "stop", Signal: int(sig), Timeout: timeout}); err != nil && c.alive() {
		return err
	}
	return c.wait()
}

func (c *container) request(r request) error {
	conn, err := c.ask(r)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = reply(conn)
	return err
}
