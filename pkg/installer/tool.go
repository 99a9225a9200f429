// This file owns the list of the tools, and what can be said of each in one form.

package installer

import "regexp"

// Tool is a package manager that can keep what it fetches in a cache.
type Tool string

// Tools are all that are known, in the order in which they are listed for people.
var Tools = []Tool{Pip, Uv, Apt, Conda, Npm}

// Cache says how a tool is told about its cache, and where it is by itself.
type Cache struct {
	Variable string   // the variable that says where the cache is
	Off      string   // a variable that turns it off; empty where there is none
	On       string   // the value of Off that does not turn it off
	Flags    []string // options that turn it off
	Manage   []string // sub-commands about the cache itself
	Also     []string // further variables for a cache that is a mount, as NAME=VALUE
	Places   []string // last elements of the directories where the cache is by itself
	LinkMode string   // a variable whose value symlink makes what is installed lead into the cache

	// Mention matches text that calls the tool, most likely, where that text cannot be read; nil: none is looked for.
	Mention func() *regexp.Regexp
}

// known is a tool with what belongs to it.
type known struct {
	cache    Cache
	programs map[string]Program
}

var tools = map[Tool]known{
	Pip:   {pipCache, pipPrograms},
	Uv:    {uvCache, uvPrograms},
	Apt:   {aptCache, aptPrograms},
	Conda: {condaCache, condaPrograms},
	Npm:   {npmCache, npmPrograms},
	"":    {programs: otherPrograms},
}

// Cache returns what is known of the cache of the tool.
func (t Tool) Cache() Cache { return tools[t].cache }
