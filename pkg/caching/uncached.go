// This file owns why a command that calls a package manager is given no cache for it.

package caching

import (
	"cmp"
	"path"
	"slices"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// Uncached says why a command that fetches packages by the tool, as far as its text shows, has no use of a cache that it
// would be given; empty where it has, and where the command does not call the tool. A mount of the Dockerfile may have the
// cache already.
func (c *Calls) Uncached(t installer.Tool, mounted bool) string {
	if why := c.hindrance(t); why != "" {
		return why
	}
	off := ""
	for _, call := range c.all {
		if !fetches(call, t) {
			continue
		}
		if why := turnedOff(call, t); why != "" {
			off = why
			continue
		}
		if !mounted && c.Chooses(t) {
			return "the RUN has a place of its own for it"
		}
		return ""
	}
	return cmp.Or(c.barrier(t), off, c.unreadable(t), c.own(t), c.unreadScript(t))
}

// barrier is what stands before the first program that fetches by the tool.
func (c *Calls) barrier(t installer.Tool) string {
	for _, call := range c.all {
		for _, p := range call.Programs() {
			if p.Barrier.Why != "" && p.Fetches(t) {
				return p.Barrier.Why
			}
		}
	}
	return ""
}

// unreadable says that a text of the command which names the tool is no shell text that is understood.
func (c *Calls) unreadable(t installer.Tool) string {
	mention := t.Cache().Mention
	if mention == nil {
		return ""
	}
	for _, text := range c.texts {
		if _, err := shell.Parse(text.Text); err != nil && mention().MatchString(text.Text) {
			return "its shell text is not understood: " + err.Error()
		}
	}
	if len(c.texts) == 0 && c.cmd.Mentions(mention().MatchString) {
		return "no shell reads the text that calls it"
	}
	return ""
}

// unreadScript names a script that may call pip, and that is not there to be read.
func (c *Calls) unreadScript(t installer.Tool) string {
	if t != installer.Pip {
		return ""
	}
	i := slices.IndexFunc(c.cmd.Scripts.Unread, func(name string) bool { return installer.InstallsPython(path.Base(name)) })
	if i < 0 {
		return ""
	}
	return c.cmd.Scripts.Unread[i] + ", which may call it, could not be read before the step ran"
}

// own says which program that is a Python package manager, too, has a cache of another kind.
func (c *Calls) own(t installer.Tool) string {
	if t != installer.Pip {
		return ""
	}
	for _, call := range c.all {
		for _, p := range call.Programs() {
			if as := p.Call(); as.WhyNoCache() != "" && as.Gets() {
				return p.Name + " is given none: " + as.WhyNoCache()
			}
		}
	}
	return ""
}
