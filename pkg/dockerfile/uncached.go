package dockerfile

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// This file says why a RUN that calls a package manager is given no cache for it.

// Uncached says why a RUN that fetches packages by the tool, as far as its text shows, has no use of a cache that it would
// be given; empty where it has, and where the RUN does not call the tool.
func (r *Run) Uncached(t Tool) string {
	calls := r.calls()
	if why := hindrance(calls, t); why != "" {
		return why
	}
	off := ""
	for _, c := range calls {
		if c.fetches(t) {
			if why := c.turnedOff(t); why != "" {
				off = why
				continue
			}
			if r.CacheMount(t) == nil && r.ChoosesCache(t) {
				return "the RUN has a place of its own for it"
			}
			return ""
		}
	}
	for _, c := range calls {
		for _, p := range c.does.programs {
			if p.fetches(t) && p.barrier.why != "" {
				return p.barrier.why
			}
		}
	}
	return cmp.Or(off, r.unreadable(t), own(calls, t), r.unreadScript(t))
}

// hindrance is why no call of the RUN may be given a cache of the tool: one of them would come upon it that must not.
func hindrance(calls []*call, t Tool) string {
	for _, c := range calls {
		for _, p := range c.does.programs {
			switch {
			case !p.uses(t):
			case p.barrier.passes && (p.fetches(t) || p.manages(t)):
				return p.barrier.why
			case p.barrier.why == "" && p.manages(t) && c.fixed:
				return fmt.Sprintf("%s %s in %s is about the cache itself", p.name, subcommand(p.args), c.place())
			}
		}
	}
	return ""
}

// place names the text in which a call stands that cannot be changed.
func (c *call) place() string { return cmp.Or(c.file, "the output of a command") }

// turnedOff says what turns the cache of the tool off in a call, where that cannot be taken out.
func (c *call) turnedOff(t Tool) string {
	for i := range c.does.programs {
		p := &c.does.programs[i]
		if !p.fetches(t) {
			continue
		}
		for _, w := range toolSpecs[t].offWords(p) {
			if where := c.unchangeable(w); where != "" {
				return fmt.Sprintf("%s in %s turns it off", w.value, where)
			}
		}
	}
	return ""
}

// unchangeable says where a word stands that is left as it is; empty for one that may be taken out.
func (c *call) unchangeable(w word) string {
	switch {
	case c.file != "":
		return c.file
	case w.part:
		return "the value of a variable, or in a text of another language,"
	}
	return ""
}

var mention = map[Tool]func() *regexp.Regexp{
	Pip: lazyregexp.New(`\bpip[\d.]*["']?\s+(-\S+\s+)*(install|wheel|download)\b`),
	Uv:  lazyregexp.New(`\buv["']?\s+(-\S+\s+)*(pip|sync|run|add)\b`),
}

// unreadable says that a text of the RUN which names the tool is no shell text that is understood.
func (r *Run) unreadable(t Tool) string {
	if mention[t] == nil {
		return ""
	}
	for _, s := range r.shellTexts() {
		if _, err := parseShell(s.text); err != nil && mention[t]().MatchString(s.text) {
			return "its shell text is not understood: " + err.Error()
		}
	}
	if texts := r.shellTexts(); len(texts) == 0 && slices.ContainsFunc(r.texts(), mention[t]().MatchString) {
		return "no shell reads the text that calls it"
	}
	return ""
}

// pythonScript matches the name of a script that installs Python packages, most likely.
var pythonScript = lazyregexp.New(`(?i)pip|python|requirement|venv`)

// unreadScript names a script that may call pip, and that is not there to be read.
func (r *Run) unreadScript(t Tool) string {
	if t != Pip {
		return ""
	}
	for _, name := range r.unread {
		if pythonScript().MatchString(path.Base(name)) {
			return name + ", which may call it, could not be read before the step ran"
		}
	}
	return ""
}

// own says which program that is a Python package manager, too, has a cache of another kind.
func own(calls []*call, t Tool) string {
	if t != Pip {
		return ""
	}
	for _, c := range calls {
		for _, p := range c.does.programs {
			if why := fetchers[p.name].own; why != "" && p.gets() {
				return p.name + " is given none: " + why
			}
		}
	}
	return ""
}
