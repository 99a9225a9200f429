// Package report words what can be said of a Dockerfile without building it: what the lint rules find, its outline, and its
// targets. Each report is text for people, and JSON for programs.
package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Report is an answer in both forms.
type Report struct {
	JSON any                   // A value for encoding/json.
	Text func(io.Writer) error // It writes the report for people.
}

// Findings reports what the lint rules found in a Dockerfile.
func Findings(p *dockerfile.Plan, found []dockerfile.Warning) Report {
	return Report{newFindings(p, found), func(w io.Writer) error {
		WriteWarnings(w, p.Name, p.Source, found)
		text := "Check complete, no warnings found."
		switch n := CountWarnings(found); {
		case n == 1:
			text = "Check complete, 1 warning has been found!"
		case n > 1:
			text = fmt.Sprintf("Check complete, %d warnings have been found!", n)
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}}
}

// CountWarnings counts the findings that are more than a hint.
func CountWarnings(found []dockerfile.Warning) (n int) {
	for i := range found {
		if !found[i].Hint {
			n++
		}
	}
	return n
}

// WriteWarnings writes findings with the lines that they are about, of the Dockerfile with this name.
func WriteWarnings(w io.Writer, name string, source []byte, found []dockerfile.Warning) {
	source = dockerfile.RedactSource(source)
	for i := range found {
		progress.WriteWarning(w, name, source, build.Event{Type: build.Warned, Warning: &found[i]})
	}
}

// Outline reports what a target can be told: arguments, secrets and ssh agents.
func Outline(p *dockerfile.Plan, o dockerfile.Outline) Report {
	var tables [][][]string
	if o.Name != "" || o.Description != "" {
		rows := [][]string{{"TARGET:", cmp.Or(o.Name, "(default)")}}
		if o.Description != "" {
			rows = append(rows, []string{"DESCRIPTION:", o.Description})
		}
		tables = append(tables, rows)
	}
	args := [][]string{{"BUILD ARG", "VALUE", "DESCRIPTION"}}
	for _, arg := range o.Args {
		args = append(args, []string{arg.Name, arg.Value, arg.Description})
	}
	for _, table := range [][][]string{args, inputRows("SECRET", o.Secrets), inputRows("SSH", o.SSH)} {
		if len(table) > 1 {
			tables = append(tables, table)
		}
	}
	return Report{newOutline(p, o), tableWriter(tables...)}
}

// inputRows is a table of secrets or ssh agents.
func inputRows(title string, list []dockerfile.OutlineInput) [][]string {
	rows := [][]string{{title, "REQUIRED"}}
	for _, in := range list {
		required := ""
		if in.Required {
			required = "true"
		}
		rows = append(rows, []string{in.Name, required})
	}
	return rows
}

// Targets reports the stages that can be built.
func Targets(p *dockerfile.Plan) Report {
	list := newTargets(p)
	rows := [][]string{{"TARGET", "DESCRIPTION"}}
	for _, t := range list.Targets {
		name := t.Name
		if t.Default {
			name = strings.TrimSpace(name + " (default)")
		}
		if name != "" {
			rows = append(rows, []string{name, t.Description})
		}
	}
	return Report{list, tableWriter(rows)}
}

// tableWriter writes tables in columns, each with an empty line after it.
func tableWriter(tables ...[][]string) func(io.Writer) error {
	return func(out io.Writer) error {
		for _, rows := range tables {
			w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
			for _, row := range rows {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
			fmt.Fprintln(w)
			if err := w.Flush(); err != nil {
				return err
			}
		}
		return nil
	}
}
