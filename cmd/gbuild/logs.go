// This file owns gbuild logs. What a command wrote to standard error comes out at standard error.

package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// logsOptions are the flags; tail is a number or "all".
type logsOptions struct {
	tail, since, until string
	follow, times      bool
}

// newLogsCommand prints what was said, to the stream on which it was said.
func newLogsCommand(a *cli.App) *cobra.Command {
	var o logsOptions
	c := &cobra.Command{
		Use: "logs CONTAINER", Short: "Print what a detached container said", Args: cobra.ExactArgs(1),
		Example: "  gbuild logs -f api\n  gbuild logs --tail 20 -t api\n  gbuild logs --since 10m --until 2026-11-29T12:00:00 api",
		RunE:    func(c *cobra.Command, args []string) error { return printLog(c.Context(), a, o, args[0]) },
	}
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on until the container ends")
	f.BoolVarP(&o.times, "timestamps", "t", false, "print the time of each line")
	f.StringVarP(&o.tail, "tail", "n", "all", "lines to begin with, from the end")
	f.StringVar(&o.since, "since", "", "only what was said since a time (2026-11-29T12:00:00, seconds since 1970) or for so long (10m)")
	f.StringVar(&o.until, "until", "", "only what was said before a time")
	f.Bool("details", false, "taken for docker's sake: a log has no more fields")
	return c
}

// printLog prints each part of the log as it was written: a part need not end a line.
func printLog(ctx context.Context, a *cli.App, o logsOptions, name string) error {
	read := container.LogOptions{Tail: -1, Follow: o.follow}
	if o.tail != "all" && o.tail != "-1" {
		var err error
		if read.Tail, err = strconv.Atoi(o.tail); err != nil || read.Tail < 0 {
			return cli.Usagef("--tail %s: it is a number, or all", o.tail)
		}
	}
	var err error
	if read.Since, err = parseTime("--since", o.since, time.Now()); err != nil {
		return err
	}
	if read.Until, err = parseTime("--until", o.until, time.Now()); err != nil {
		return err
	}
	c, err := findContainer(a, name)
	if err != nil {
		return err
	}
	begun := map[string]bool{} // streams whose last line is not at its end
	return c.ReadLog(ctx, read, func(l container.LogLine) error {
		// A log has the bytes of the command. They go out as they are, escape sequences included.
		w, text := a.RawOut, l.Log
		if l.Stream == "stderr" {
			w = a.RawErr
		}
		if o.times && !begun[l.Stream] {
			text = l.Time.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text
		}
		begun[l.Stream] = !strings.HasSuffix(text, "\n")
		_, err := io.WriteString(w, text)
		return err
	})
}

// parseTime reads a time as docker does: how long before now, a date with or without a time and a zone, or seconds since 1970.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && text != "0" {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	whole, part, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	nanos, badPart := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	if err != nil || badPart != nil || nanos < 0 {
		return time.Time{}, cli.Usagef("%s %s: it is a time such as 2026-11-29T12:00:00, a number of seconds since 1970, or a duration such as 10m", flag, text)
	}
	return time.Unix(seconds, nanos), nil
}
