// This file owns the list of the tools. A new one is a file of its own, and a line here.

package installer

// Tools are all that are known, in the order in which they are listed for people.
var Tools = []Tool{Pip, Uv, Apt, Conda, Npm}

// PythonTools are those that install Python distributions.
var PythonTools = []Tool{Pip, Uv, Conda}

// known is a tool with what belongs to it.
type known struct {
	cache    Cache
	programs map[string]Program
	read     func(s *Said, line string) // reads a line of its output; nil: it says nothing of its cache
}

var tools = map[Tool]known{
	Pip:   {pipCache, pipPrograms, readPip},
	Uv:    {uvCache, uvPrograms, readUv},
	Apt:   {aptCache, aptPrograms, readApt},
	Conda: {cache: condaCache, programs: condaPrograms},
	Npm:   {cache: npmCache, programs: npmPrograms},
	"":    {programs: otherPrograms},
}

// Cache returns what is known of the cache of the tool.
func (t Tool) Cache() Cache { return tools[t].cache }
