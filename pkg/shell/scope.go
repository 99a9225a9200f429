// This file owns what a shell knows while it reads a text: variables, functions, its directory, and files that it wrote.

package shell

import (
	"path"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// scope is what a shell knows while it reads, as far as the text shows.
type scope struct {
	command *Command
	dir     string            // empty: not known
	values  map[string]string // of variables that the text sets
	runners map[string]bool   // functions that run the command that they are given
	files   map[string]string // that the text writes
}

func newScope(c *Command) *scope {
	return &scope{command: c, dir: c.Dir, values: map[string]string{}, runners: map[string]bool{}, files: map[string]string{}}
}

// lookup returns the value of a variable that the text sets, or else the environment.
func (s *scope) lookup(name string) (string, bool) {
	if value, ok := s.values[name]; ok {
		return value, true
	}
	return s.command.Lookup(name)
}

// remember notes what a call changes for the later ones.
func (s *scope) remember(c *Call) {
	name := c.Name()
	if name == ":" || name == "export" || name == "readonly" || name == "declare" || name == "local" {
		for _, a := range c.Assigns {
			name, value, _ := strings.Cut(a.Value, "=")
			s.values[name] = value
		}
	}
	if (name == "cd" || name == "pushd") && len(c.Words) > 1 {
		s.dir = below(s.dir, c.Words[len(c.Words)-1].Value)
	}
}

// below is a path as a shell in a directory sees it; empty where that is not known.
func below(dir, name string) string {
	switch {
	case strings.Contains(name, installer.Unknown), name == "-", strings.HasPrefix(name, "~"):
		return ""
	case path.IsAbs(name):
		return path.Clean(name)
	case dir == "":
		return ""
	}
	return path.Join(dir, name)
}
