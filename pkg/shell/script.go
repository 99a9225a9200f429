// This file owns the scripts that a command executes, if they are among the files of the image before the command.

package shell

import "strings"

// scriptFile is a script with its text.
type scriptFile struct {
	path    string // absolute
	dir     string // its working directory
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

// calls are those of the script, which runs in the surroundings of the call.
func (f *scriptFile) calls(s surroundings) []*Call {
	r := newReader(s.in(f.dir), f.text, f.barrier)
	r.fixed = true
	all := r.calls()
	for _, call := range all {
		call.File = f.path
	}
	return all
}

// Found says whether any script has been read.
func (s Scripts) Found() bool { return len(s.read) > 0 }

// shebang says whether the first line of a file names a shell, and what that line means.
func shebang(text, user string) (meaning, bool) {
	line, _, _ := strings.Cut(text, "\n")
	line, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return meaning{}, false
	}
	var words []Word
	for _, field := range strings.Fields(line) {
		words = append(words, Word{Value: field})
	}
	m := understand(words, user, nil)
	return m, m.stdin || m.script != nil && !m.script.direct
}
