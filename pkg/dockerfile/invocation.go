package dockerfile

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// invocation is one simple command of a shell script as hints look at it: without quotes, and without what only a shell
// would put in.
type invocation struct {
	env   map[string]string // assignments before it, and exports
	words []string          // never empty
}

// prefixes stand before the command that is run.
var prefixes = []string{"time", "exec", "sudo", "env", "command"}

var assignment = lazyRegexp(`^[A-Za-z_][A-Za-z0-9_]*=`)

// invocations lists the simple commands of a script. Variables that are exported hold from there on.
func invocations(script string) (out []invocation) {
	exported := map[string]string{}
	for _, c := range parseCalls(script, 0, maxDepth) {
		env, words := maps.Clone(exported), c.texts()
		export := words[0] == "export"
		for _, a := range c.assigns {
			name, value, _ := strings.Cut(a.value, "=")
			env[name] = value
			if export {
				exported[name] = value
			}
		}
		for len(words) > 0 && (assignment().MatchString(words[0]) || slices.Contains(prefixes, words[0])) {
			if name, value, ok := strings.Cut(words[0], "="); ok {
				env[name] = value
			}
			words = words[1:]
		}
		if len(words) > 0 && words[0] != "" && !export {
			out = append(out, invocation{env, words})
		}
	}
	return out
}

func (c *call) texts() (words []string) {
	for _, w := range c.words {
		words = append(words, strings.ReplaceAll(w.value, unknown, ""))
	}
	return words
}

func (c invocation) name() string { return path.Base(c.words[0]) }

var (
	pipName    = lazyRegexp(`^pip(3(\.\d+)?)?$`)
	pythonName = lazyRegexp(`^python(3(\.\d+)?)?$`)
)

// pipInstalls says whether the command is pip (not uv's), and fetches packages.
func (c invocation) pipInstalls() bool {
	args := c.words[1:]
	if pythonName().MatchString(c.name()) {
		i := slices.Index(args, "-m")
		if i < 0 || i+1 >= len(args) || args[i+1] != "pip" {
			return false
		}
		args = args[i+2:]
	} else if !pipName().MatchString(c.name()) {
		return false
	}
	return slices.ContainsFunc(args, func(w string) bool { return w == "install" || w == "wheel" || w == "download" })
}

// aptInstalls says whether the command is apt, and fetches packages.
func (c invocation) aptInstalls() bool {
	return (c.name() == "apt" || c.name() == "apt-get") && slices.ContainsFunc(c.words, func(w string) bool {
		return w == "install" || w == "upgrade" || w == "dist-upgrade" || w == "full-upgrade" || w == "build-dep"
	})
}
