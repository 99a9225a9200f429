package dockerfile

import (
	"cmp"
	"maps"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Outline is what a target can be given: --call=outline prints it.
type Outline struct {
	Name, Description string
	Args              []OutlineArg
	Secrets, SSH      []OutlineInput
}

// OutlineArg is an ARG that the target uses. Value is the default, or what was given.
type OutlineArg struct {
	Name, Description, Value string
	Location                 Location
}

// OutlineInput is a secret or an SSH socket that a RUN mounts.
type OutlineInput struct {
	Name     string
	Required bool
	Location Location
}

// captured is what the resolution of one stage saw of its inputs.
type captured struct {
	stage   *Stage
	args    map[string]declaration
	used    map[string]bool
	secrets map[string]OutlineInput
	sockets map[string]OutlineInput
}

func newCaptured(s *Stage) *captured {
	c := &captured{stage: s, args: map[string]declaration{}, used: maps.Clone(s.usedArgs),
		secrets: map[string]OutlineInput{}, sockets: map[string]OutlineInput{}}
	for _, d := range s.plan.globalDoc {
		c.args[d.name] = d
	}
	return c
}

func (c *captured) declare(a instructions.KeyValuePairOptional, value *string, cmd instructions.Command, imported bool) {
	c.used[a.Key] = true
	if imported {
		return // the line above the first FROM says what it is
	}
	d := declaration{name: a.Key, doc: a.DocComment, location: locate(cmd.Location())}
	if value != nil {
		d.value = *value
	}
	c.args[a.Key] = d
}

func (c *captured) secret(m Mount, cmd instructions.Command) { add(c.secrets, m, cmd) }

func (c *captured) socket(m Mount, cmd instructions.Command) { add(c.sockets, m, cmd) }

func add(to map[string]OutlineInput, m Mount, cmd instructions.Command) {
	if _, ok := to[m.ID]; !ok {
		to[m.ID] = OutlineInput{Name: m.ID, Required: m.Required, Location: locate(cmd.Location())}
	}
}

// Outline returns what the stages that the target needs can be given, as far as they have been resolved.
func (p *Plan) Outline(needed []*Stage) Outline {
	o := Outline{Name: p.Target.Name, Description: p.Target.Description}
	args := map[string]OutlineArg{}
	secrets, sockets := map[string]OutlineInput{}, map[string]OutlineInput{}
	for _, s := range needed {
		if s.outline == nil {
			continue
		}
		s.outline.collect(args)
		maps.Copy(secrets, s.outline.secrets)
		maps.Copy(sockets, s.outline.sockets)
	}
	o.Args = slices.SortedFunc(maps.Values(args), func(a, b OutlineArg) int {
		return cmp.Or(a.Location.Start-b.Location.Start, cmp.Compare(a.Name, b.Name))
	})
	o.Secrets, o.SSH = sortedInputs(secrets), sortedInputs(sockets)
	return o
}

// collect adds the ARGs that the stage uses, and those that their defaults use.
func (c *captured) collect(into map[string]OutlineArg) {
	var add func(name string)
	add = func(name string) {
		d, ok := c.args[name]
		if _, done := into[name]; done || !ok {
			return
		}
		into[name] = OutlineArg{Name: d.name, Description: d.doc, Value: d.value, Location: d.location}
		for dep := range d.deps {
			add(dep)
		}
	}
	for name := range c.used {
		add(name)
	}
}

func sortedInputs(m map[string]OutlineInput) []OutlineInput {
	return slices.SortedFunc(maps.Values(m), func(a, b OutlineInput) int {
		return cmp.Or(a.Location.Start-b.Location.Start, cmp.Compare(a.Name, b.Name))
	})
}
