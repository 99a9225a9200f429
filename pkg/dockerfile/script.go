package dockerfile

import (
	"strings"
)

// This file reads the scripts that a RUN executes and that lie in the files before it.

// script names a file that a call makes a shell read.
type script struct {
	name    string // as written
	direct  bool   // it is executed by itself: only its first line says whether it is shell text
	sourced bool   // it is read by the shell that reads the call
}

// scriptFile is a script with its text.
type scriptFile struct {
	path    string // absolute
	dir     string // where it runs
	text    string
	barrier barrier
}

// MaxScript is how many bytes of a script are read, and maxScripts how many of them: those of builds are far smaller.
const (
	MaxScript  = maxShellText
	maxScripts = 16
)

// WithScripts returns the RUN with the text of the shell scripts that it executes, as far as read has them: what they
// call counts as what the RUN itself calls. Their text is never changed.
func (r *Run) WithScripts(read func(name string) ([]byte, error)) *Run {
	out := *r
	out.scripts, out.unread = nil, nil
	seen := map[string]bool{}
	for next := r.calls(); len(next) > 0; {
		var more []*call
		for _, c := range next {
			f, ok := c.scriptFile()
			if !ok || seen[f.path] || len(seen) == maxScripts {
				continue
			}
			seen[f.path] = true
			text, err := read(f.path)
			if err != nil {
				out.unread = append(out.unread, f.path)
				continue
			}
			if !c.isShell(string(text), r) {
				continue
			}
			f.text = string(text)
			out.scripts = append(out.scripts, f)
			more = append(more, f.calls(r)...)
		}
		next = more
	}
	return &out
}

// scriptFile is the file that the call makes a shell read, where it is known.
func (c *call) scriptFile() (scriptFile, bool) {
	s := c.does.script
	if s == nil {
		return scriptFile{}, false
	}
	name := below(c.dir, s.name)
	return scriptFile{path: name, dir: c.dir, barrier: c.does.barrier}, name != "" && name != "/"
}

// isShell says whether a shell reads the text. A file that is executed says so in its first line; one without is read by
// the shell that executes it.
func (c *call) isShell(text string, r *Run) bool {
	if strings.ContainsRune(text, 0) {
		return false
	}
	if !c.does.script.direct {
		return true
	}
	_, shell := shebang(text, r.User)
	return shell || !strings.HasPrefix(text, "#!")
}

// calls are those of the script.
func (f *scriptFile) calls(r *Run) []*call {
	p := newCallReader(r, f.text, f.barrier)
	p.fixed, p.scope.dir = true, f.dir
	all := p.calls()
	for _, c := range all {
		c.file = f.path
	}
	return all
}
