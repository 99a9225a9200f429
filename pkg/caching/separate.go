// This file owns commands that tell a tool to keep no cache: what it downloads may be kept all the same, what it builds
// not, and no call may find what another one has built.

package caching

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// KeepsNone says whether the Dockerfile tells the tool in this command to keep no cache, in one of its calls at least.
func (c *Calls) KeepsNone(t installer.Tool) bool {
	return c.turnsOff(t) || slices.ContainsFunc(c.all, func(call *shell.Call) bool { return len(told(call, t)) > 0 })
}

// turnsOff says whether a variable turns the cache off, in the environment of the command or, in doubt, in its text.
func (c *Calls) turnsOff(t installer.Tool) bool {
	cache := t.Cache()
	return cache.Off != "" && (c.cmd.Getenv(cache.Off) != "" && c.cmd.Getenv(cache.Off) != cache.On ||
		c.cmd.Mentions(func(text string) bool { return strings.Contains(text, cache.Off) }))
}

// maxSeparate is how many calls of one command get a directory of their own.
const maxSeparate = 32

// Separate returns the command in which each call that is told to keep no cache uses one of its own, dir-1, dir-2 and so
// on, so that it finds nothing that another has built; and how many there are. A call in a loop that may build something
// else each time has no cache, as it says. It is for a command before WithCache. ok is false where such a call stands in a
// text that is not to be changed: the command must be left as it is.
func (c *Calls) Separate(t installer.Tool, dir string) (out *shell.Command, n int, ok bool) {
	out = c.cmd.Clone()
	s := &separator{tool: t, dir: dir, all: c.turnsOff(t)}
	for _, call := range c.all {
		if fetches(call, t) {
			s.calls++
			s.fixed = s.fixed || call.Fixed && s.all
		}
		s.changes = s.changes || call.Repeats && len(call.Assigns) > 0
	}
	for _, text := range c.texts {
		text.Set(out, s.text(text.Text, c.cmd.Calls(text)))
	}
	return out, s.n, !s.fixed || s.calls < 2
}

// separator gives the calls of a command their directories.
type separator struct {
	tool    installer.Tool
	dir     string
	all     bool // a variable tells them all
	fixed   bool // one that it tells cannot be changed
	calls   int
	changes bool // a loop sets variables
	n       int
}

// text gives the calls of a text their directories.
func (s *separator) text(text string, calls []*shell.Call) string {
	var edits []edit
	for _, call := range calls {
		if !fetches(call, s.tool) || call.Fixed || !s.all && len(told(call, s.tool)) == 0 {
			continue
		}
		switch {
		case call.Repeats && (s.calls > 1 || s.changes || varies(call, text)), s.calls > 1 && (s.n == maxSeparate || timed().MatchString(text[:call.At])):
			edits = append(edits, s.leave(call)...)
		case s.calls > 1:
			s.n++
			edits = append(edits, edit{call.At, call.At, fmt.Sprintf("%s=%s-%d ", s.tool.Cache().Variable, s.dir, s.n)})
		}
	}
	return apply(text, edits)
}

// timed matches what stands before a command that some shells do not know as one of theirs, and before which no variable
// can be set.
var timed = lazyregexp.New(`\btime(\s+-\S+)*\s+$`)

// varies says whether the shell puts something into an option of the call.
func varies(call *shell.Call, text string) bool {
	return slices.ContainsFunc(call.Words, func(w shell.Word) bool {
		return strings.HasPrefix(w.Value, "-") && (w.Part || strings.ContainsAny(text[w.At:w.End], "$`"))
	})
}

// leave lets the call be without a cache: the option is spelt so that WithCache does not take it out.
func (s *separator) leave(call *shell.Call) (edits []edit) {
	for _, w := range told(call, s.tool) {
		if !w.Part {
			edits = append(edits, edit{w.At, w.End, "$()" + w.Value})
		}
	}
	if args := argsOf(call, s.tool); len(edits) == 0 && len(args) > 0 {
		edits = append(edits, edit{args[0].At, args[0].At, "$()" + s.tool.Cache().Flags[0] + " "})
	}
	return edits
}
