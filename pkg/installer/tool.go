// This file owns the forms in which tools are described: each tool's own file fills them in.

package installer

import (
	"regexp"
	"slices"
	"strings"
)

// Tool is a package manager that can keep what it fetches in a cache.
type Tool string

// Cache says how a tool is told about its cache, and where it is by itself.
type Cache struct {
	Variable  string   // the variable that says where the cache is
	Off       string   // a variable that turns it off; empty where there is none
	On        string   // the value of Off that does not turn it off
	Flags     []string // options that turn it off
	Manage    []string // sub-commands about the cache itself
	Also      []string // further variables for a cache that is a mount, as NAME=VALUE
	Places    []string // last elements of the directories where the cache is by itself
	Exclusive bool     // the cache serves one process at a time only
	LinkMode  string   // a variable whose value symlink makes what is installed lead into the cache

	// Mention matches text that calls the tool, most likely, where that text cannot be read; nil: none is looked for.
	Mention func() *regexp.Regexp
}

// Program is a command that fetches packages.
type Program struct {
	Fetch      []string // sub-commands that fetch; nil: all but those that manage the cache
	WhyNoCache string   // the reason why a RUN is given no cache for it; empty if it uses the cache of a Tool
	Runs       *Runner  // its way to start another command; nil if it starts none
}

// Runner says where the other command begins in the words of a program that starts one.
type Runner struct {
	Sub      []string // it starts one after one of these only; nil: it always does
	Group    string   // a word that may stand before that: uv tool run
	Valued   []string // options whose value is the next word
	Clears   string   // an option that clears the environment
	Itself   bool     // it fetches packages itself, too
	Prefixed bool     // its first word is ENVIRONMENT:COMMAND
}

// Call is a program as it is called: Name is canonical, and Args are without quotes.
type Call struct {
	Name string
	Args []string
}

// Has says whether an argument is there.
func (c Call) Has(arg string) bool { return slices.Contains(c.Args, arg) }

// Subcommand is the first argument that is no option.
func (c Call) Subcommand() string {
	for _, arg := range c.Args {
		if !strings.HasPrefix(arg, "-") {
			return arg
		}
	}
	return ""
}

// Unknown stands in a word for what only the shell knows: the value of a variable that no text sets.
const Unknown = "\x00"

// versions are what may follow the name of a Python or of pip.
const versions = "0123456789." + Unknown
