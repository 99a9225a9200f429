package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// call is --call: what to do with the Dockerfile, and how to print it.
type call struct {
	method string // build, check, outline or targets
	json   bool
}

// parseCall reads METHOD[,format=json]; --check is --call=check.
func parseCall(o *buildOptions) (c call, err error) {
	for i, word := range strings.Split(o.call, ",") {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case !ok && i == 0:
			c.method = word
		case key == "method":
			c.method = value
		case key == "format" && (value == "json" || value == "text"):
			c.json = value == "json"
		default:
			return c, usagef("--call %s: it is METHOD[,format=json|text]", o.call)
		}
	}
	if o.check {
		if c.method != "build" && c.method != "check" {
			return c, usagef("--check and --call=%s contradict each other", c.method)
		}
		c.method = "check"
	}
	switch c.method {
	case "build", "check", "outline", "targets":
		return c, nil
	case "lint":
		c.method = "check"
		return c, nil
	}
	return c, usagef("--call %s: it is build, check, outline or targets", o.call)
}

// answer prints what the call asks for, and builds nothing.
func (a *app) answer(ctx context.Context, o *buildOptions, c call, in *input, show *display) error {
	switch c.method {
	case "outline":
		outline, err := build.Outline(ctx, in.plan)
		if err != nil {
			return err
		}
		return a.printOutline(c, outline, in.plan)
	case "targets":
		return a.printTargets(c, in.plan)
	}
	return a.lint(ctx, o, c, in, show)
}

// lint prints the findings of the lint rules. With any that is more than a hint, the exit code is 1.
func (a *app) lint(ctx context.Context, o *buildOptions, c call, in *input, show *display) error {
	f := &bases.Finder{Options: a.registries.options(), Pull: true, Notice: show.notice}
	found, err := build.Lint(ctx, in.plan, o.target == "", f.Find)
	if err != nil {
		a.printFoundBefore(c, &dockerfile.Error{File: in.plan.Name, Source: in.plan.Source, Warnings: found})
		return err
	}
	warnings := 0
	for i := range found {
		if !found[i].Hint {
			warnings++
		}
	}
	if c.json {
		err = a.printJSON(newFindings(found, in.plan), "  ")
	} else {
		err = a.printFindings(found, warnings, in.plan)
	}
	if err == nil && warnings > 0 {
		return exitStatus(exitFailed)
	}
	return err
}

// printFoundBefore prints, as docker does, what a check found before the error at which it ends.
func (a *app) printFoundBefore(c call, err error) {
	var at *dockerfile.Error
	if c.method == "check" && !c.json && errors.As(err, &at) {
		a.printWarnings(at.File, at.Source, at.Warnings)
	}
}

func (a *app) printWarnings(name string, source []byte, found []dockerfile.Warning) {
	source = dockerfile.RedactSource(source)
	for i := range found {
		progress.WriteWarning(a.stdout, name, source, build.Event{Type: build.Warned, Warning: &found[i]})
	}
}

func (a *app) printFindings(found []dockerfile.Warning, warnings int, p *dockerfile.Plan) error {
	a.printWarnings(p.Name, p.Source, found)
	text := "Check complete, no warnings found."
	switch {
	case warnings == 1:
		text = "Check complete, 1 warning has been found!"
	case warnings > 1:
		text = fmt.Sprintf("Check complete, %d warnings have been found!", warnings)
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// The JSON of the calls has the names of docker buildx, so that what reads one reads the other.
type (
	findings struct {
		Warnings []finding    `json:"warnings"`
		Hints    []finding    `json:"hints,omitempty"` // gbuild's own
		Sources  []sourceInfo `json:"sources"`
	}
	finding struct {
		RuleName    string    `json:"ruleName"`
		Description string    `json:"description,omitempty"`
		URL         string    `json:"url,omitempty"`
		Detail      string    `json:"detail,omitempty"`
		Location    *location `json:"location,omitempty"`
	}
	sourceInfo struct {
		Filename string `json:"filename"`
		Data     []byte `json:"data"`
		Language string `json:"language"`
	}
	location struct {
		Ranges []lineRange `json:"ranges"`
	}
	lineRange struct {
		Start position `json:"start"`
		End   position `json:"end"`
	}
	position struct {
		Line int `json:"line"`
	}
	outline struct {
		Name        string         `json:"name,omitempty"`
		Description string         `json:"description,omitempty"`
		Args        []outlineArg   `json:"args,omitempty"`
		Secrets     []outlineInput `json:"secrets,omitempty"`
		SSH         []outlineInput `json:"ssh,omitempty"`
		Sources     [][]byte       `json:"sources,omitempty"`
	}
	outlineArg struct {
		Name        string    `json:"name"`
		Description string    `json:"description,omitempty"`
		Value       string    `json:"value,omitempty"`
		Location    *location `json:"location,omitempty"`
	}
	outlineInput struct {
		Name     string    `json:"name"`
		Required bool      `json:"required,omitempty"`
		Location *location `json:"location,omitempty"`
	}
	targets struct {
		Targets []target `json:"targets"`
		Sources [][]byte `json:"sources"`
	}
	target struct {
		Name        string    `json:"name,omitempty"`
		Default     bool      `json:"default,omitempty"`
		Description string    `json:"description,omitempty"`
		Base        string    `json:"base,omitempty"`
		Platform    string    `json:"platform,omitempty"`
		Location    *location `json:"location,omitempty"`
	}
)

func newLocation(l dockerfile.Location) *location {
	if l.Start == 0 {
		return nil
	}
	return &location{[]lineRange{{position{l.Start}, position{l.End}}}}
}

func newFindings(found []dockerfile.Warning, p *dockerfile.Plan) findings {
	out := findings{Warnings: []finding{}, Sources: []sourceInfo{{p.Name, p.Source, "Dockerfile"}}}
	for _, w := range found {
		f := finding{w.Rule, w.Description, w.URL, w.Message, newLocation(w.Location)}
		if w.Hint {
			out.Hints = append(out.Hints, f)
		} else {
			out.Warnings = append(out.Warnings, f)
		}
	}
	return out
}

func newOutline(o dockerfile.Outline, p *dockerfile.Plan) outline {
	out := outline{Name: o.Name, Description: o.Description, Sources: [][]byte{p.Source}}
	for _, arg := range o.Args {
		out.Args = append(out.Args, outlineArg{arg.Name, arg.Description, arg.Value, newLocation(arg.Location)})
	}
	out.Secrets, out.SSH = newOutlineInputs(o.Secrets), newOutlineInputs(o.SSH)
	return out
}

func newOutlineInputs(list []dockerfile.OutlineInput) (out []outlineInput) {
	for _, in := range list {
		out = append(out, outlineInput{in.Name, in.Required, newLocation(in.Location)})
	}
	return out
}

func (a *app) printJSON(v any, indent string) error {
	text, err := json.MarshalIndent(v, "", indent)
	if err == nil {
		_, err = a.rawOut.Write(append(progress.EscapeJSON(text), '\n'))
	}
	return err
}

func (a *app) printOutline(c call, o dockerfile.Outline, p *dockerfile.Plan) error {
	if c.json {
		return a.printJSON(newOutline(o, p), "  ")
	}
	if o.Name != "" || o.Description != "" {
		rows := [][]string{{"TARGET:", cmp.Or(o.Name, "(default)")}}
		if o.Description != "" {
			rows = append(rows, []string{"DESCRIPTION:", o.Description})
		}
		if err := a.printTable(rows); err != nil {
			return err
		}
	}
	args := [][]string{{"BUILD ARG", "VALUE", "DESCRIPTION"}}
	for _, arg := range o.Args {
		args = append(args, []string{arg.Name, arg.Value, arg.Description})
	}
	for _, table := range [][][]string{args, inputRows("SECRET", o.Secrets), inputRows("SSH", o.SSH)} {
		if len(table) == 1 {
			continue
		}
		if err := a.printTable(table); err != nil {
			return err
		}
	}
	return nil
}

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

// printTable prints rows in columns, and an empty line.
func (a *app) printTable(rows [][]string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func (a *app) printTargets(c call, p *dockerfile.Plan) error {
	last := p.Stages[len(p.Stages)-1]
	list := targets{Targets: []target{}, Sources: [][]byte{p.Source}}
	rows := [][]string{{"TARGET", "DESCRIPTION"}}
	for _, s := range p.Stages {
		t := target{Name: s.Name, Default: s == last, Description: s.Description, Base: s.Base.Name, Location: newLocation(s.Location)}
		if s.Base.Kind == dockerfile.FromImage {
			t.Platform = s.Base.Platform.String()
		}
		list.Targets = append(list.Targets, t)
		name := s.Name
		if t.Default {
			name = strings.TrimSpace(name + " (default)")
		}
		if name != "" {
			rows = append(rows, []string{name, s.Description})
		}
	}
	if c.json {
		return a.printJSON(list, "  ")
	}
	return a.printTable(rows)
}
