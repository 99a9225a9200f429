// This file owns the scripts that a command executes and that lie in the files before it.

package shell

import "strings"

// scriptRef names a file that a call makes a shell read.
type scriptRef struct {
	name   string // as written
	direct bool   // it is executed by itself: only its first line says whether it is shell text
}

// scriptFile is a script with its text.
type scriptFile struct {
	path    string // absolute
	dir     string // where it runs
	text    string
	barrier Barrier
}

// Scripts are the scripts that a command executes.
type Scripts struct {
	Unread []string // paths of those that could not be read

	read []scriptFile
}

// MaxScript is how many bytes of a script are read, and maxScripts how many of them: those of builds are far smaller.
const (
	MaxScript  = maxText
	maxScripts = 16
)

// FindScripts reads the shell scripts that the command executes, and those that they execute, as far as read has them.
// What they call counts as what the command itself calls. Their text is never changed.
func (c *Command) FindScripts(read func(name string) ([]byte, error)) (found Scripts) {
	seen := map[string]bool{}
	for next := c.AllCalls(); len(next) > 0; {
		var more []*Call
		for _, call := range next {
			f, ok := call.scriptFile()
			if !ok || seen[f.path] || len(seen) == maxScripts {
				continue
			}
			seen[f.path] = true
			text, err := read(f.path)
			if err != nil {
				found.Unread = append(found.Unread, f.path)
				continue
			}
			if !call.readByShell(string(text), c.User) {
				continue
			}
			f.text = string(text)
			found.read = append(found.read, f)
			more = append(more, f.calls(c)...)
		}
		next = more
	}
	return found
}

// scriptFile is the file that the call makes a shell read, where it is known.
func (c *Call) scriptFile() (scriptFile, bool) {
	s := c.does.script
	if s == nil {
		return scriptFile{}, false
	}
	name := below(c.dir, s.name)
	return scriptFile{path: name, dir: c.dir, barrier: c.does.barrier}, name != "" && name != "/"
}

// readByShell says whether a shell reads the text of the call's script. A file that is executed says so in its first line;
// one without is read by the shell that executes it.
func (c *Call) readByShell(text, user string) bool {
	if strings.ContainsRune(text, 0) {
		return false
	}
	if !c.does.script.direct {
		return true
	}
	_, shell := shebang(text, user)
	return shell || !strings.HasPrefix(text, "#!")
}

// calls are those of the script.
func (f *scriptFile) calls(c *Command) []*Call {
	r := newReader(c, f.text, f.barrier)
	r.fixed, r.scope.dir = true, f.dir
	all := r.calls()
	for _, call := range all {
		call.File = f.path
	}
	return all
}

// Found says whether any script has been read.
func (s Scripts) Found() bool { return len(s.read) > 0 }
