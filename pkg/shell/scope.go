// This file owns what a shell knows while it reads a text: variables, functions, its directory, and files that it wrote.

package shell

import (
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// surroundings are what a shell knows before it reads.
type surroundings struct {
	env  []string // NAME=VALUE; a later one wins
	dir  string   // empty: not known
	user string
}

// in is the same in another directory.
func (s surroundings) in(dir string) surroundings { return surroundings{s.env, dir, s.user} }

// lookup returns the value of a variable of an environment, and whether it has one.
func lookup(env []string, name string) (string, bool) {
	for _, pair := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok && name != "" {
			return value, true
		}
	}
	return "", false
}

// scope is what a shell knows while it reads, as far as the text shows.
type scope struct {
	around  surroundings      // its knowledge at first
	dir     string            // empty: not known
	values  map[string]string // variables that the text sets
	runners map[string]bool   // functions that run the command that they are given
	files   map[string]string // paths and texts of files that the text writes
}

func newScope(s surroundings) *scope {
	return &scope{around: s, dir: s.dir, values: map[string]string{}, runners: map[string]bool{}, files: map[string]string{}}
}

// lookup returns the value of a variable that the text sets, or else the environment.
func (s *scope) lookup(name string) (string, bool) {
	if value, ok := s.values[name]; ok {
		return value, true
	}
	return lookup(s.around.env, name)
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
