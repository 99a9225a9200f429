// This file owns --call: what is done with a Dockerfile instead of building it.

package building

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/report"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Call say that there is something else to do than building.
type Call struct {
	Call  string
	Check bool
}

// Flags has --check for those who do not know --call, as docker does.
func (f *Call) Flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.Call, "call", f.Call, "build, or only report: check, outline, targets; with ,format=json as JSON")
	flags.BoolVar(&f.Check, "check", false, "report what the lint rules find, and build nothing (--call=check)")
}

// call is a parsed --call: what to do with the Dockerfile, and how to print it.
type call struct {
	method string // build, check, outline or targets
	json   bool
}

// parse reads METHOD[,format=json]; --check is --call=check.
func (f *Call) parse() (c call, err error) {
	for i, word := range strings.Split(f.Call, ",") {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case !ok && i == 0:
			c.method = word
		case key == "method":
			c.method = value
		case key == "format" && (value == "json" || value == "text"):
			c.json = value == "json"
		default:
			return c, cli.Usagef("--call %s: it is METHOD[,format=json|text]", f.Call)
		}
	}
	// --check beside the same --call is no contradiction.
	if f.Check {
		if c.method != "build" && c.method != "check" {
			return c, cli.Usagef("--check and --call=%s contradict each other", c.method)
		}
		c.method = "check"
	}
	switch c.method {
	case "build", "check", "outline", "targets":
		return c, nil
	// lint is buildx's older word for check.
	case "lint":
		c.method = "check"
		return c, nil
	}
	return c, cli.Usagef("--call %s: it is build, check, outline or targets", f.Call)
}

// answer prints what the call asks for, and builds nothing.
func (c call) answer(ctx context.Context, a *cli.App, in *input, notice func(string)) error {
	switch c.method {
	case "outline":
		outline, err := build.Outline(ctx, in.plan)
		if err != nil {
			return err
		}
		return c.print(a, report.Outline(in.plan, outline))
	case "targets":
		return c.print(a, report.Targets(in.plan))
	}
	return c.lint(ctx, a, in, notice)
}

// print prints an answer in the form that was asked for.
func (c call) print(a *cli.App, r report.Report) error {
	if c.json {
		return a.PrintJSON(r.JSON, "  ")
	}
	return r.Text(a.Stdout)
}

// lint prints the findings of the lint rules. With any that is more than a hint, the exit code is 1.
func (c call) lint(ctx context.Context, a *cli.App, in *input, notice func(string)) error {
	f := &bases.Finder{Options: a.Registries.Options(), Pull: true, Notice: notice}
	found, err := build.Lint(ctx, in.plan, in.source.Target == "", f.Find)
	if err != nil {
		// Warnings were found before a base could not be looked up. They are printed all the same, and the error after them.
		c.printFoundBefore(a, &dockerfile.Error{File: in.plan.Name, Source: in.plan.Source, Warnings: found})
		return err
	}
	if err := c.print(a, report.Findings(in.plan, found)); err != nil || report.CountWarnings(found) == 0 {
		return err
	}
	return cli.ExitStatus(cli.ExitFailed)
}

// printFoundBefore prints, as docker does, what a check found before the error at which it ends.
func (c call) printFoundBefore(a *cli.App, err error) {
	var at *dockerfile.Error
	if c.method == "check" && !c.json && errors.As(err, &at) {
		report.WriteWarnings(a.Stdout, at.File, at.Source, at.Warnings)
	}
}
