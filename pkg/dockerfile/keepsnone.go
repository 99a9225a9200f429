package dockerfile

// A RUN that tells pip or uv to keep no cache: what it downloads may be kept all the same, what it builds not, and no call
// may find what another one has built.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// KeepsNone says whether the Dockerfile tells the tool in this RUN to keep no cache, in one of its calls at least.
func (r *Run) KeepsNone(t Tool) bool {
	spec := toolSpecs[t]
	return r.turnsOff(spec) || slices.ContainsFunc(r.calls(), func(c *call) bool { return len(spec.told(t, c)) > 0 })
}

// told are the words of a call that turn the cache of the tool off.
func (s toolSpec) told(t Tool, c *call) (all []word) {
	for i := range c.does.programs {
		if p := &c.does.programs[i]; p.fetches(t) {
			all = append(all, s.offWords(p)...)
		}
	}
	return all
}

// turnsOff says whether a variable turns the cache off, in the environment of the RUN or, in doubt, in its text.
func (r *Run) turnsOff(spec toolSpec) bool {
	return spec.off != "" && (r.Getenv(spec.off) != "" && r.Getenv(spec.off) != spec.on ||
		slices.ContainsFunc(r.texts(), func(text string) bool { return strings.Contains(text, spec.off) }))
}

// maxApart is how many calls of one RUN get a directory of their own.
const maxApart = 32

// Apart returns the RUN in which each call that is told to keep no cache uses one of its own, dir-1, dir-2 and so on, so
// that it finds nothing that another has built; and how many there are. A call in a loop that may build something else each
// time has no cache, as it says. It is for a RUN before WithCache. ok is false where such a call stands in a text that is
// not to be changed: the RUN must be left as it is.
func (r *Run) Apart(t Tool, dir string) (out *Run, n int, ok bool) {
	out = r.copyOf()
	spec := toolSpecs[t]
	a := &aparter{spec: spec, tool: t, dir: dir, all: r.turnsOff(spec)}
	for _, c := range r.calls() {
		if c.fetches(t) {
			a.calls++
			a.fixed = a.fixed || c.fixed && a.all
		}
		a.changes = a.changes || c.repeats && len(c.assigns) > 0
	}
	for _, s := range r.shellTexts() {
		s.set(out, a.text(s.text, r.parse(s.text, s.barrier)))
	}
	return out, a.n, !a.fixed || a.calls < 2
}

// aparter gives the calls of a RUN their directories.
type aparter struct {
	spec    toolSpec
	tool    Tool
	dir     string
	all     bool // a variable tells them all
	fixed   bool // one that it tells cannot be changed
	calls   int
	changes bool // a loop sets variables
	n       int
}

func (a *aparter) text(text string, calls []*call) string {
	var edits []edit
	for _, c := range calls {
		if !c.fetches(a.tool) || c.fixed || !a.all && len(a.spec.told(a.tool, c)) == 0 {
			continue
		}
		switch {
		case c.repeats && (a.calls > 1 || a.changes || a.varies(c, text)), a.calls > 1 && (a.n == maxApart || timed().MatchString(text[:c.at])):
			edits = append(edits, a.leave(c)...)
		case a.calls > 1:
			a.n++
			edits = append(edits, edit{c.at, c.at, fmt.Sprintf("%s=%s-%d ", a.spec.variable, a.dir, a.n)})
		}
	}
	slices.SortStableFunc(edits, func(x, y edit) int { return y.at - x.at })
	for _, e := range edits {
		text = text[:e.at] + e.text + text[e.end:]
	}
	return text
}

// timed matches what stands before a command that some shells do not know as one of theirs, and before which no variable
// can be set.
var timed = lazyregexp.New(`\btime(\s+-\S+)*\s+$`)

// varies says whether the shell puts something into an option of the call.
func (a *aparter) varies(c *call, text string) bool {
	return slices.ContainsFunc(c.words, func(w word) bool {
		return strings.HasPrefix(w.value, "-") && (w.part || strings.ContainsAny(text[w.at:w.end], "$`"))
	})
}

// leave lets the call be without a cache: the option is spelt so that WithCache does not take it out.
func (a *aparter) leave(c *call) (edits []edit) {
	for _, w := range a.spec.told(a.tool, c) {
		if !w.part {
			edits = append(edits, edit{w.at, w.end, "$()" + w.value})
		}
	}
	if args, _ := c.argsOf(a.tool); len(edits) == 0 && len(args) > 0 {
		edits = append(edits, edit{args[0].at, args[0].at, "$()" + a.spec.flags[0] + " "})
	}
	return edits
}
