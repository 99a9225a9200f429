// This file owns gbuild logs. What a command wrote to standard error comes out at standard error.

package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// logsOptions are the flags; tail is a number or "all".
type logsOptions struct {
	tail          string
	follow, times bool
}

// newLogsCommand prints what was said, to the stream on which it was said.
func newLogsCommand(a *cli.App) *cobra.Command {
	var o logsOptions
	c := &cobra.Command{
		Use: "logs CONTAINER", Short: "Print what a detached container said", Args: cobra.ExactArgs(1),
		Example: "  gbuild logs -f api\n  gbuild logs --tail 20 -t api",
		RunE:    func(c *cobra.Command, args []string) error { return printLog(c.Context(), a, o, args[0]) },
	}
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on until the container ends")
	c.Flags().BoolVarP(&o.times, "timestamps", "t", false, "print the time of each line")
	c.Flags().StringVarP(&o.tail, "tail", "n", "all", "lines to begin with, from the end")
	return c
}

// printLog prints each part of the log as it was written: a part need not end a line.
func printLog(ctx context.Context, a *cli.App, o logsOptions, name string) error {
	tail := -1
	if o.tail != "all" {
		var err error
		if tail, err = strconv.Atoi(o.tail); err != nil || tail < 0 {
			return cli.Usagef("--tail %s: it is a number, or all", o.tail)
		}
	}
	c, err := findContainer(a, name)
	if err != nil {
		return err
	}
	return c.ReadLog(ctx, container.LogOptions{Tail: tail, Follow: o.follow}, func(l container.LogLine) error {
		// A log has the bytes of the command. They go out as they are, escape sequences included.
		w, text := a.RawOut, l.Log
		if l.Stream == "stderr" {
			w = a.RawErr
		}
		if o.times {
			text = l.Time.Format(time.RFC3339Nano) + " " + text
		}
		_, err := io.WriteString(w, text)
		return err
	})
}
