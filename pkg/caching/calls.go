// This file owns the calls of a command, and which of them fetch packages by a cache.

package caching

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// Calls are the calls of a command, read once.
type Calls struct {
	cmd   *shell.Command
	texts []shell.Text
	all   []*shell.Call
}

// Read reads the texts of a command.
func Read(cmd *shell.Command) *Calls {
	return &Calls{cmd: cmd, texts: cmd.Texts(), all: cmd.AllCalls()}
}

// All are the calls in the order of the text.
func (c *Calls) All() []*shell.Call { return c.all }

// Words lists the words of the calls, without quotes and in their order; words that only the shell knows are left out.
func (c *Calls) Words() (all []string) {
	for _, call := range c.all {
		for _, w := range call.Words {
			if !strings.Contains(w.Value, installer.Unknown) {
				all = append(all, w.Value)
			}
		}
	}
	return all
}

// Fetches says whether the command calls the tool to fetch packages, and can do so by a cache that it is given, as far as
// its text shows.
func (c *Calls) Fetches(t installer.Tool) bool {
	return slices.ContainsFunc(c.all, func(call *shell.Call) bool { return fetches(call, t) && turnedOff(call, t) == "" }) && c.hindrance(t) == ""
}

// Chooses says whether the command has a place of its own for the cache of the tool: such a command is left as it is.
func (c *Calls) Chooses(t installer.Tool) bool {
	cache := t.Cache()
	if c.cmd.Getenv(cache.Variable) != "" || cache.LinkMode != "" && c.cmd.Getenv(cache.LinkMode) == "symlink" {
		return true
	}
	if c.cmd.Mentions(func(text string) bool { return strings.Contains(text, cache.Variable) }) {
		return true
	}
	return slices.ContainsFunc(c.all, func(call *shell.Call) bool {
		return slices.ContainsFunc(argsOf(call, t), func(w shell.Word) bool {
			return w.Value == "--cache-dir" || strings.HasPrefix(w.Value, "--cache-dir=") || cache.LinkMode != "" && strings.HasSuffix(w.Value, "symlink")
		})
	})
}

// hindrance is why no call may be given a cache of the tool: one of them would come upon it that must not.
func (c *Calls) hindrance(t installer.Tool) string {
	for _, call := range c.all {
		for _, p := range call.Programs() {
			as := p.Call()
			switch {
			case !as.Uses(t):
			case p.Barrier.Passes && (as.Fetches(t) || as.Manages(t)):
				return p.Barrier.Why
			case p.Barrier.Why == "" && as.Manages(t) && call.Fixed:
				return fmt.Sprintf("%s %s in %s is about the cache itself", p.Name, as.Subcommand(), call.Place())
			}
		}
	}
	return ""
}

// argsOf returns the arguments that a call gives the tool; nil where it does not call it, or the tool sees no cache of the
// command.
func argsOf(call *shell.Call, t installer.Tool) []shell.Word {
	for _, p := range call.Programs() {
		if p.Barrier.Why == "" && p.Call().Uses(t) {
			return p.Args
		}
	}
	return nil
}

// fetches says whether the call makes the tool fetch packages by a cache of the command.
func fetches(call *shell.Call, t installer.Tool) bool {
	return slices.ContainsFunc(call.Programs(), func(p shell.Program) bool { return p.Barrier.Why == "" && p.Fetches(t) })
}

// manages says whether the call is about the tool's cache, and nothing else.
func manages(call *shell.Call, t installer.Tool) bool {
	return slices.ContainsFunc(call.Programs(), func(p shell.Program) bool { return p.Barrier.Why == "" && p.Manages(t) })
}

// told are the words of a call that turn the cache of the tool off, where it fetches.
func told(call *shell.Call, t installer.Tool) (all []shell.Word) {
	for _, p := range call.Programs() {
		if p.Fetches(t) {
			all = append(all, p.OffWords(t)...)
		}
	}
	return all
}

// turnedOff says what turns the cache of the tool off in a call, where that cannot be taken out.
func turnedOff(call *shell.Call, t installer.Tool) string {
	for _, w := range told(call, t) {
		if where := unchangeable(call, w); where != "" {
			return fmt.Sprintf("%s in %s turns it off", w.Value, where)
		}
	}
	return ""
}

// unchangeable says where a word stands that is left as it is; empty for one that may be taken out.
func unchangeable(call *shell.Call, w shell.Word) string {
	switch {
	case call.File != "":
		return call.File
	case w.Part:
		return "the value of a variable, or in a text of another language,"
	}
	return ""
}
