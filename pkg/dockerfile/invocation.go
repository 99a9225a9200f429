package dockerfile

import (
	"maps"
	"slices"
	"strings"
)

// invocation is a call as hints look at it.
type invocation struct {
	call  *call
	env   map[string]string // assignments before it, and exports
	words []string          // of the call, without what only a shell would put in
}

// invocations adds to the calls of a RUN what the text has set for each.
func invocations(calls []*call) (out []invocation) {
	exported := map[string]string{}
	for _, c := range calls {
		env := maps.Clone(exported)
		for _, a := range slices.Concat(c.assigns, c.words) {
			name, value, ok := strings.Cut(a.value, "=")
			if !ok || !isAssignment(a.value) {
				continue
			}
			env[name] = value
			if c.words[0].value == "export" {
				exported[name] = value
			}
		}
		in := invocation{call: c, env: env}
		for _, w := range c.words {
			in.words = append(in.words, strings.ReplaceAll(w.value, unknown, ""))
		}
		out = append(out, in)
	}
	return out
}

func (c invocation) name() string { return c.call.words[0].base() }

// installs returns the program by which the command fetches packages for a tool; nil when it does not.
func (c invocation) installs(t Tool) *program {
	for i := range c.call.does.programs {
		if p := &c.call.does.programs[i]; p.fetches(t) {
			return p
		}
	}
	return nil
}

// aptInstalls says whether the command is apt, and fetches packages.
func (c invocation) aptInstalls() bool {
	p := c.installs(Apt)
	return p != nil && !slices.ContainsFunc(p.args, func(w word) bool { return w.value == "update" })
}
