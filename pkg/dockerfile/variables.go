// This file owns variables, as ARG and ENV set them. Their order is that of an environment.

package dockerfile

import (
	"maps"
	"slices"
)

// variables are names with values in the order of their last definition. They are what BuildKit's shell.EnvGetter asks for.
type variables struct {
	names  []string
	values map[string]string
}

func newVariables() *variables { return &variables{values: map[string]string{}} }

// Get returns the value of name, and whether it has one.
func (v *variables) Get(name string) (string, bool) {
	value, ok := v.values[name]
	return value, ok
}

// Keys returns the names, the one defined last at the end.
func (v *variables) Keys() []string { return v.names }

// set gives a variable its value, and makes it the last.
func (v *variables) set(name, value string) {
	if _, ok := v.values[name]; ok {
		v.remove(name)
	}
	v.names = append(v.names, name)
	v.values[name] = value
}

func (v *variables) remove(name string) {
	delete(v.values, name)
	v.names = slices.DeleteFunc(v.names, func(n string) bool { return n == name })
}

// clone is a copy that can be changed.
func (v *variables) clone() *variables {
	return &variables{names: slices.Clone(v.names), values: maps.Clone(v.values)}
}

// list returns NAME=VALUE for each.
func (v *variables) list() []string {
	out := make([]string, 0, len(v.names))
	for _, name := range v.names {
		out = append(out, name+"="+v.values[name])
	}
	return out
}

// withDefaults is variables with values that hide theirs.
type withDefaults struct {
	under *variables
	over  map[string]string
}

// Get returns the value that hides, else the one of the variables.
func (w withDefaults) Get(name string) (string, bool) {
	if value, ok := w.over[name]; ok {
		return value, true
	}
	return w.under.Get(name)
}

// Keys returns the names of the variables.
func (w withDefaults) Keys() []string { return w.under.Keys() }
