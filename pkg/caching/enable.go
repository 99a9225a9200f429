// This file owns how a command is changed so that a tool uses a cache.

package caching

import (
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// WithCache returns the command as it is to be executed with a cache of the tool at a directory (for apt: with a file of
// configuration). The variable says so, and what turns the cache off is taken out: options where they stand as words of
// a command of the tool, and variables. A command about the cache itself, such as pip cache purge, does not see it: it is
// about what the image has. Everything else, the order and the lines included, stays as it was.
func (c *Calls) WithCache(t installer.Tool, dir string) *shell.Command {
	cache := t.Cache()
	out := c.cmd.Clone()
	out.Env = slices.DeleteFunc(out.Env, func(pair string) bool { return cache.Off != "" && strings.HasPrefix(pair, cache.Off+"=") })
	out.Env = append(out.Env, cache.Variable+"="+dir)
	for _, pair := range cache.Also {
		if name, _, _ := strings.Cut(pair, "="); c.cmd.Getenv(name) == "" {
			out.Env = append(out.Env, pair)
		}
	}
	for _, text := range c.texts {
		text.Set(out, enable(t, text.Text, c.cmd.Calls(text)))
	}
	if len(c.texts) == 0 && len(c.all) > 0 && !c.all[0].Fixed {
		for _, w := range slices.Backward(blanks(c.all[0], t)) {
			out.Args = slices.Delete(out.Args, w.At, w.At+1)
		}
	}
	return out
}

// enable changes shell text so that the tool uses its cache.
func enable(t installer.Tool, text string, calls []*shell.Call) string {
	var edits []edit
	for _, call := range calls {
		if manages(call, t) && !call.Fixed {
			// The blank keeps a $( before it from becoming arithmetic.
			edits = append(edits, edit{call.At, call.At, " (unset " + t.Cache().Variable + "; "}, edit{call.End, call.End, excuse(call, t)})
			continue
		}
		for _, w := range blanks(call, t) {
			edits = append(edits, edit{w.At, w.End, strings.Repeat(" ", w.End-w.At)})
		}
		edits = append(edits, offAssigns(call, t)...)
	}
	return apply(text, edits)
}

// excuse ends a command about the cache. Early versions of pip fail to purge an empty one, and it is empty because pip has
// another.
func excuse(call *shell.Call, t installer.Tool) string {
	if t == installer.Pip && slices.ContainsFunc(argsOf(call, t), func(w shell.Word) bool { return w.Value == "purge" }) {
		return " || :)"
	}
	return ")"
}

// blanks are the words of a call that are taken out for the tool.
func blanks(call *shell.Call, t installer.Tool) (all []shell.Word) {
	for _, p := range call.Programs() {
		if p.Barrier.Why != "" || !p.Call().Uses(t) {
			continue
		}
		for _, w := range p.OffWords(t) {
			if unchangeable(call, w) == "" {
				all = append(all, w)
			}
		}
	}
	return all
}

// offAssigns gives the variable that turns the cache off a value that does not.
func offAssigns(call *shell.Call, t installer.Tool) (all []edit) {
	off, on := t.Cache().Off, t.Cache().On
	for _, w := range slices.Concat(call.Assigns, call.Words) {
		if off != "" && w.End > w.At && strings.HasPrefix(w.Value, off+"=") && w.Value != off+"=" && gives(call, w) {
			at := w.At + len(off) + 1
			all = append(all, edit{at, w.End, on + strings.Repeat(" ", w.End-at-len(on))})
		}
	}
	return all
}

// gives says whether a word NAME=VALUE of the call sets a variable.
func gives(call *shell.Call, w shell.Word) bool {
	return !call.Fixed && !w.Part && (slices.Contains(call.Assigns, w) || call.Name() == "env")
}
