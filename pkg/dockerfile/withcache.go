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
		s.set(&out, spec.enable(t, s.text))
	}
	if len(texts) == 0 {
		out.Args = spec.enableWords(t, r)
	}
	return &out
}

// enable changes shell text so that the tool uses its cache.
func (s toolSpec) enable(t Tool, text string) string {
	var edits []edit
	for _, c := range parseCalls(text, 0, maxDepth) {
		if c.manages(t) {
			// The blank keeps a $( before it from becoming arithmetic.
			edits = append(edits, edit{c.at, c.at, " (unset " + s.variable + "; "}, edit{c.end, c.end, s.excuse(t, c)})
			continue
		}
		for _, w := range s.offWords(t, c) {
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

// offWords are the words of a call that turn the cache of the tool off.
func (s toolSpec) offWords(t Tool, c *call) (all []word) {
	args, _ := c.argsOf(t)
	for _, w := range args {
		if w.value == "--" || t == Uv && w.value == "run" || c.runsTool(w) {
			break // what follows is for another command
		}
		if slices.Contains(s.flags, w.value) {
			all = append(all, w)
		}
	}
	return all
}

// runsTool says whether the word is the command that uvx runs.
func (c *call) runsTool(w word) bool {
	return slices.ContainsFunc(c.words, func(w word) bool { return w.base() == "uvx" }) && !strings.HasPrefix(w.value, "-")
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
	return slices.Contains(c.assigns, w) || c.words[0].base() == "env"
}

// enableWords is enable for a RUN in exec form.
func (s toolSpec) enableWords(t Tool, r *Run) []string {
	c := r.calls()
	if len(c) != 1 {
		return r.Args
	}
	for i := range c[0].words {
		c[0].words[i].at = i
	}
	args := slices.Clone(r.Args)
	for _, w := range slices.Backward(s.offWords(t, c[0])) {
		args = slices.Delete(args, w.at, w.at+1)
	}
	return args
}
