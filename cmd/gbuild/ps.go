package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
)

func newPsCommand(a *app) *cobra.Command {
	var all, quiet, whole bool
	var format string
	c := &cobra.Command{
		Use: "ps", Short: "List containers", Args: cobra.NoArgs,
		Example: "  gbuild ps\n  gbuild ps -a --format '{{.Names}}\\t{{.Status}}'",
		RunE: func(*cobra.Command, []string) error {
			rows, err := a.containerRows(all, whole)
			if err != nil {
				return err
			}
			switch {
			case quiet:
				format = "{{.ID}}"
			case format == "":
				fields := "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
				rows = append([]any{containerRow{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES", ""}}, rows...)
				format = fields
			}
			return a.table(format, rows)
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "list those that have ended, too")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print ids only")
	c.Flags().BoolVar(&whole, "no-trunc", false, "do not shorten anything")
	c.Flags().StringVar(&format, "format", "", "a Go template, as docker ps takes it")
	return c
}

// containerRow has the fields that docker's --format knows.
type containerRow struct{ ID, Image, Command, RunningFor, Status, Ports, Names, State string }

func (a *app) containerRows(all, whole bool) ([]any, error) {
	list, err := a.containers()
	if err != nil {
		return nil, err
	}
	var rows []any
	for _, c := range list {
		if !all && (c.Status == statusExited || c.Status == statusCreated) {
			continue
		}
		id, command := c.ID, strings.Join(c.Command, " ")
		if !whole {
			id = short(id)
			if r := []rune(command); len(r) > 20 {
				command = string(r[:19]) + "…"
			}
		}
		rows = append(rows, containerRow{id, c.Image, fmt.Sprintf("%q", command), units.HumanDuration(time.Since(c.Created)) + " ago",
			c.status(), strings.Join(c.Ports, ", "), c.Name, c.Status})
	}
	return rows, nil
}

// status words the state as docker does.
func (c *container) status() string {
	switch c.Status {
	case statusRunning:
		return "Up " + units.HumanDuration(time.Since(c.Started))
	case statusExited:
		return fmt.Sprintf("Exited (%d) %s ago", c.ExitCode, units.HumanDuration(time.Since(c.Finished)))
	case statusRestarting:
		return fmt.Sprintf("Restarting (%d) %s ago", c.ExitCode, units.HumanDuration(time.Since(c.Finished)))
	}
	return "Created"
}
