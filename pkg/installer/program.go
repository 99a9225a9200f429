// This file owns the programs that fetch packages: which are known, and what a call of one does.

package installer

import (
	"slices"
)

// program finds a program by its canonical name, and the tool whose cache it uses.
func program(name string) (p Program, t Tool, ok bool) {
	for t, k := range tools {
		if p, ok := k.programs[name]; ok {
			return p, t, true
		}
	}
	return Program{}, "", false
}

// Canonical is the name of a program that fetches packages, without its version; empty for every other one.
func Canonical(name string) string {
	if isPip(name) {
		return "pip"
	}
	if _, _, ok := program(name); ok {
		return name
	}
	return ""
}

// Runs returns how the program of a name starts another command; nil where it does not.
func Runs(name string) *Runner {
	p, _, _ := program(name)
	return p.Runs
}

// Uses says whether the program uses the cache of the tool, if it fetches.
func (c Call) Uses(t Tool) bool {
	_, its, _ := program(c.Name)
	return its == t || t == Pip && its == Conda && c.readsList()
}

// Fetches says whether the program fetches packages that the tool's cache keeps.
func (c Call) Fetches(t Tool) bool { return c.Uses(t) && c.Gets() && !c.Manages(t) }

// Gets says whether the program fetches packages.
func (c Call) Gets() bool {
	p, t, _ := program(c.Name)
	if t == Conda && c.Has("env") {
		return c.Has("create") || c.Has("update")
	}
	if p.Fetch == nil {
		return !c.Has("--version") && !c.Has("--help") && (t != Uv || len(c.Args) > 0)
	}
	return slices.ContainsFunc(p.Fetch, c.Has)
}

// Manages says whether the program is told about the tool's cache, and nothing else.
func (c Call) Manages(t Tool) bool {
	_, its, _ := program(c.Name)
	return its == t && slices.Contains(t.Cache().Manage, c.Subcommand())
}

// WhyNoCache says why the program is given no cache, though it fetches Python packages; empty for one that can have one.
func (c Call) WhyNoCache() string {
	p, _, _ := program(c.Name)
	return p.WhyNoCache
}

// Tells says whether the words name a program and what it is to do: a name alone may be any word.
func (c Call) Tells() bool {
	p, _, _ := program(c.Name)
	return c.Name == "uv" && c.Has("install") || p.Fetch != nil && c.Name != "setup.py"
}
