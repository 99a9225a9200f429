// This file owns what the hints about one RUN look at: its calls with the variables of each, and its mounts.

package dockerfile

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/caching"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// hinter looks at one RUN.
type hinter struct {
	step     *Run
	stage    *Stage
	env      *variables // the variables that the stage has set before the RUN
	calls    *caching.Calls
	commands []invocation

	// say reports a finding at the RUN.
	say func(rule *hintRule, what string)
}

// newHinter reads the calls of a RUN of a stage, which sees the variables env. Whoever asks for hints sets say.
func newHinter(s *Stage, step *Run, env *variables) *hinter {
	calls := step.Calls()
	return &hinter{stage: s, step: step, env: env, calls: calls, commands: invocations(calls.All())}
}

// invocation is a call as hints look at it.
type invocation struct {
	call  *shell.Call
	env   map[string]string // assignments before it, and exports
	words []string          // the call's words, without what only a shell would put in
}

// invocations adds to the calls of a RUN what the text has set for each.
func invocations(calls []*shell.Call) (out []invocation) {
	exported := map[string]string{}
	for _, c := range calls {
		env := maps.Clone(exported)
		for _, a := range slices.Concat(c.Assigns, c.Words) {
			name, value, ok := strings.Cut(a.Value, "=")
			if !ok || !shell.IsAssignment(a.Value) {
				continue
			}
			env[name] = value
			if c.Words[0].Value == "export" {
				exported[name] = value
			}
		}
		in := invocation{call: c, env: env}
		for _, w := range c.Words {
			in.words = append(in.words, strings.ReplaceAll(w.Value, installer.Unknown, ""))
		}
		out = append(out, in)
	}
	return out
}

// installs returns the program by which the command fetches packages for a tool; nil when it does not.
func (c invocation) installs(t installer.Tool) *shell.Program {
	for _, p := range c.call.Programs() {
		if p.Fetches(t) {
			return &p
		}
	}
	return nil
}

// value is what a command sees a variable to have.
func (h *hinter) value(c invocation, name string) string {
	if v, ok := c.env[name]; ok {
		return v
	}
	v, _ := h.env.Get(name)
	return v
}

// exported says whether what the stage writes is part of the result.
func (h *hinter) exported() bool {
	for s := h.stage.plan.Target; s != nil; s = s.Base.Stage {
		if s == h.stage {
			return true
		}
	}
	return false
}

// gives says whether the build gives caches of the tool by itself.
func (h *hinter) gives(t installer.Tool) bool { return slices.Contains(h.stage.plan.opts.AutoCache, t) }

// mountFor returns the mount that keeps the cache of a tool out of the layer: at its usual place, or where a variable says.
func (h *hinter) mountFor(t installer.Tool) *Mount {
	dir, _ := h.env.Get(t.Cache().Variable)
	return h.mount(func(m *Mount) bool {
		base := path.Base(m.Target)
		return (m.Type == MountCache || m.Type == MountTmpfs) && (base == string(t) || base == ".cache" || dir != "" && m.shows(dir))
	})
}

// mount is the first mount that matches; nil for none.
func (h *hinter) mount(matches func(m *Mount) bool) *Mount {
	for i := range h.step.Mounts {
		if m := &h.step.Mounts[i]; matches(m) {
			return m
		}
	}
	return nil
}

// anyText says whether something is found in the RUN's words.
func (h *hinter) anyText(found func(text string) bool) bool {
	return slices.ContainsFunc(h.step.Args, found)
}

// anyVariable says whether something is found in the names of the RUN's variables.
func (h *hinter) anyVariable(found func(name string) bool) bool {
	return slices.ContainsFunc(h.env.Keys(), found)
}
