// This file owns the outline of a target: what can be given to it, as --call=outline prints it.

package dockerfile

import (
	"cmp"
	"maps"
	"slices"
)

// Outline is what a target can be given: --call=outline prints it.
type Outline struct {
	Name, Description string
	Args              []OutlineArg
	Secrets, SSH      []OutlineInput
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

// sortedInputs are inputs in the order of the Dockerfile.
func sortedInputs(m map[string]OutlineInput) []OutlineInput {
	return slices.SortedFunc(maps.Values(m), func(a, b OutlineInput) int {
		return cmp.Or(a.Location.Start-b.Location.Start, cmp.Compare(a.Name, b.Name))
	})
}
