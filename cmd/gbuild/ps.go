// This file owns gbuild ps: the words and columns in which containers are listed.

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// psOptions are the flags; an empty format is the table.
type psOptions struct {
	all, quiet, whole bool
	format            string
}

// newPsCommand has docker's columns and templates.
func newPsCommand(a *cli.App) *cobra.Command {
	var o psOptions
	c := &cobra.Command{
		Use: "ps", Short: "List containers", Args: cobra.NoArgs,
		Example: "  gbuild ps\n  gbuild ps -a --format '{{.Names}}\\t{{.Status}}'",
		RunE:    func(*cobra.Command, []string) error { return listContainers(a, o) },
	}
	c.Flags().BoolVarP(&o.all, "all", "a", false, "list those that have ended, too")
	c.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print ids only")
	c.Flags().BoolVar(&o.whole, "no-trunc", false, "do not shorten anything")
	c.Flags().StringVar(&o.format, "format", "", "a Go template, as docker ps takes it")
	return c
}

// containerRow has the fields that docker's --format knows.
type containerRow struct{ ID, Image, Command, RunningFor, Status, Ports, Names, State string }

// listContainers prints those that run, or, with --all, those that have ended or never ran, too.
func listContainers(a *cli.App, o psOptions) error {
	all, err := a.Containers()
	if err != nil {
		return err
	}
	list, err := all.List()
	if err != nil {
		return err
	}
	var rows []any
	if o.format == "" && !o.quiet {
		o.format = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
		rows = append(rows, containerRow{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES", ""})
	}
	// -q wins over --format, as for gbuild images.
	if o.quiet {
		o.format = "{{.ID}}"
	}
	for _, c := range list {
		// A container that restarts counts as one that runs: its command may be between two lives.
		if o.all || c.Status != container.StatusExited && c.Status != container.StatusCreated {
			rows = append(rows, rowOf(&c.Record, o.whole))
		}
	}
	return a.PrintTable(o.format, rows)
}

// rowOf words a record; whole leaves the long words as they are.
func rowOf(c *container.Record, whole bool) containerRow {
	id, command := c.ID, strings.Join(c.Command, " ")
	if !whole {
		id = c.ShortID()
		if r := []rune(command); len(r) > 20 {
			command = string(r[:19]) + "…"
		}
	}
	return containerRow{id, c.Image, fmt.Sprintf("%q", command), cli.Ago(c.Created), statusOf(c), strings.Join(c.Ports, ", "), c.Name, string(c.Status)}
}

// statusOf words the state as docker does.
func statusOf(c *container.Record) string {
	switch c.Status {
	case container.StatusRunning:
		return "Up " + units.HumanDuration(time.Since(c.Started)) + healthOf(c)
	case container.StatusExited:
		return fmt.Sprintf("Exited (%d) %s", c.ExitCode, cli.Ago(c.Finished))
	case container.StatusRestarting:
		return fmt.Sprintf("Restarting (%d) %s", c.ExitCode, cli.Ago(c.Finished))
	}
	return "Created"
}

// healthOf is what docker adds to the status of a container that is looked at.
func healthOf(c *container.Record) string {
	switch {
	case c.Health == nil:
		return ""
	case c.Health.Status == container.HealthStarting:
		return " (health: starting)"
	}
	return " (" + c.Health.Status + ")"
}
