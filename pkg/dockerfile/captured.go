// This file owns what the resolution of a stage sees of its inputs: ARGs, secrets and SSH sockets.

package dockerfile

import (
	"maps"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

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

// declaration is an ARG as --call=outline shows it.
type declaration struct {
	name, value, doc string
	location         Location
	deps             map[string]struct{} // ARGs that its default names
}

// captured is what the resolution of one stage saw of its inputs.
type captured struct {
	args    map[string]declaration
	used    map[string]bool
	secrets map[string]OutlineInput
	sockets map[string]OutlineInput
}

// newCaptured begins with the ARGs above the first FROM, of which FROM has used some.
func newCaptured(global []declaration, used map[string]bool) *captured {
	c := &captured{args: map[string]declaration{}, used: maps.Clone(used), secrets: map[string]OutlineInput{}, sockets: map[string]OutlineInput{}}
	for _, d := range global {
		c.args[d.name] = d
	}
	return c
}

// declare notes an ARG of the stage. One that is imported has its value from above the first FROM.
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

// addInput notes a secret or a socket, where it is first mounted.
func addInput(to map[string]OutlineInput, id string, required bool, cmd instructions.Command) {
	if _, ok := to[id]; !ok {
		to[id] = OutlineInput{Name: id, Required: required, Location: locate(cmd.Location())}
	}
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
