package dockerfile

import (
	"path"
	"slices"
	"strings"
)

// invocation is one simple command of a shell script, near enough for hints: quotes are dropped, nothing is expanded.
type invocation struct {
	env   map[string]string // assignments before it
	words []string          // never empty
}

// separators end a simple command.
var separators = lazyRegexp(`&&|\|\||[;|&\n()]`)

var assignment = lazyRegexp(`^[A-Za-z_][A-Za-z0-9_]*=`)

// prefixes stand before the command that is run.
var prefixes = []string{"then", "do", "else", "if", "elif", "while", "until", "!", "{", "time", "exec", "sudo", "env", "command"}

// invocations cuts a script into its simple commands. Variables that are exported hold from there on.
func invocations(script string) (out []invocation) {
	exported := map[string]string{}
	for _, line := range separators().Split(strings.ReplaceAll(script, "\\\n", " "), -1) {
		words := strings.Fields(line)
		env := map[string]string{}
		for name, value := range exported {
			env[name] = value
		}
		export := len(words) > 0 && words[0] == "export"
		if export {
			words = words[1:]
		}
		for len(words) > 0 && (assignment().MatchString(words[0]) || slices.Contains(prefixes, words[0])) {
			if name, value, ok := strings.Cut(words[0], "="); ok {
				env[name] = strings.Trim(value, `"'`)
				if export {
					exported[name] = env[name]
				}
			}
			words = words[1:]
		}
		for i := range words {
			words[i] = strings.Trim(words[i], `"'`)
		}
		if len(words) > 0 && words[0] != "" && !export {
			out = append(out, invocation{env, words})
		}
	}
	return out
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
