package dockerfile

import (
	"slices"
	"strings"
)

// edit replaces a part of a text.
type edit struct {
	at, end int
	text    string
}

// WithCache returns the RUN as it is to be executed with a cache of the tool at a directory (for apt: with a file of
// configuration). The variable says so, and what turns the cache off is taken out: options where they stand as words of
// a command of the tool, and variables. A command about the cache itself, such as pip cache purge, does not see it: it is
// about what the image has. Everything else, the order and the lines included, stays as it was.
//
// r, from which the key and the history of the step are made, is not changed.
func (r *Run) WithCache(t Tool, dir string) *Run {
	spec := toolSpecs[t]
	out := *r
	out.Args, out.Files = slices.Clone(r.Args), slices.Clone(r.Files)
	out.Env = slices.DeleteFunc(slices.Clone(r.Env), func(pair string) bool { return spec.off != "" && strings.HasPrefix(pair, spec.off+"=") })
	out.Env = append(out.Env, spec.variable+"="+dir)
	for _, pair := range spec.also {
		if name, _, _ := strings.Cut(pair, "="); r.Getenv(name) == "" {
			out.Env = append(out.Env, pair)
		}
	}
	texts := r.shellTexts()
	for _, s := range texts {
		s.set(&out, spec.enable(t, s.text, r.parse(s.text, s.barrier)))
	}
	if len(texts) == 0 {
		out.Args = spec.enableWords(t, r)
	}
	return &out
}

// enable changes shell text so that the tool uses its cache.
func (s toolSpec) enable(t Tool, text string, calls []*call) string {
	var edits []edit
	for _, c := range calls {
		if c.manages(t) && !c.fixed {
			// The blank keeps a $( before it from becoming arithmetic.
			edits = append(edits, edit{c.at, c.at, " (unset " + s.variable + "; "}, edit{c.end, c.end, s.excuse(t, c)})
			continue
		}
		for _, w := range s.blanks(t, c) {
			edits = append(edits, edit{w.at, w.end, strings.Repeat(" ", w.end-w.at)})
		}
		edits = append(edits, s.offAssigns(c)...)
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return b.at - a.at })
	for _, e := range edits {
		text = text[:e.at] + e.text + text[e.end:]
	}
	return text
}

// excuse ends a command about the cache. Early versions of pip fail to purge an empty one, and it is empty because pip has
// another.
func (s toolSpec) excuse(t Tool, c *call) string {
	args, _ := c.argsOf(t)
	if t == Pip && slices.ContainsFunc(args, func(w word) bool { return w.value == "purge" }) {
		return " || :)"
	}
	return ")"
}

// blanks are the words of a call that are taken out for the tool.
func (s toolSpec) blanks(t Tool, c *call) (all []word) {
	for i := range c.does.programs {
		p := &c.does.programs[i]
		if !p.uses(t) || p.barrier.why != "" {
			continue
		}
		for _, w := range s.offWords(p) {
			if c.unchangeable(w) == "" {
				all = append(all, w)
			}
		}
	}
	return all
}

// offWords are the arguments of a program that turn its cache off.
func (s toolSpec) offWords(p *program) (all []word) {
	for _, w := range p.args {
		if w.value == "--" {
			break // what follows is no option
		}
		if slices.Contains(s.flags, w.value) {
			all = append(all, w)
		}
	}
	return all
}

// offAssigns gives the variable that turns the cache off a value that does not.
func (s toolSpec) offAssigns(c *call) (all []edit) {
	for _, w := range slices.Concat(c.assigns, c.words) {
		if s.off != "" && w.end > w.at && strings.HasPrefix(w.value, s.off+"=") && w.value != s.off+"=" && c.gives(w) {
			at := w.at + len(s.off) + 1
			all = append(all, edit{at, w.end, s.on + strings.Repeat(" ", w.end-at-len(s.on))})
		}
	}
	return all
}

// gives says whether a word NAME=VALUE of the call sets a variable.
func (c *call) gives(w word) bool {
	return !c.fixed && !w.part && (slices.Contains(c.assigns, w) || c.words[0].base() == "env")
}

// enableWords is enable for a RUN in exec form.
func (s toolSpec) enableWords(t Tool, r *Run) []string {
	c := r.calls()
	if len(c) == 0 || c[0].fixed {
		return r.Args
	}
	args := slices.Clone(r.Args)
	for _, w := range slices.Backward(s.blanks(t, c[0])) {
		args = slices.Delete(args, w.at, w.at+1)
	}
	return args
}
