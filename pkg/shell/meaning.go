// This file owns how the words of a call are understood: wrappers are taken off until the program is found that runs in
// the end, or the text that a shell is given.

package shell

import (
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// meaning is what the words of a call come to when everything that only starts another command is taken off.
type meaning struct {
	programs []Program // more than one where a program that fetches itself runs another: uv run
	barrier  Barrier
	loops    bool       // it may run several times
	text     *Word      // the word that a shell reads as text
	stdin    bool       // a shell reads its standard input
	python   bool       // a Python does
	script   *scriptRef // the file that a shell reads, or that may be a script
}

// scriptRef names a file that a call makes a shell read.
type scriptRef struct {
	name   string // its path, however that is written
	direct bool   // it is executed by itself: only its first line says whether it is shell text
}

// behind says what stands before the command.
func (m *meaning) behind(b Barrier) {
	m.barrier = b.then(m.barrier)
	for i := range m.programs {
		m.programs[i].Barrier = b.then(m.programs[i].Barrier)
	}
}

// maxWrappers is how many wrappers in wrappers are taken off.
const maxWrappers = 12

// understand takes wrappers off the words of a call of a user. Runners are functions that run their arguments.
func understand(words []Word, user string, runners map[string]bool) (m meaning) {
	for range maxWrappers {
		if len(words) == 0 {
			return m
		}
		name := words[0].Base()
		w := wrapperNamed(name)
		if w == nil && runners[name] {
			w = &wrapper{search: true, loops: true}
		}
		if w == nil {
			break
		}
		opts, rest := w.strip(words)
		if w.Itself {
			m.take(words, len(words)-len(rest))
		}
		if rest == nil && w.Sub != nil {
			break
		}
		m.barrier = m.barrier.then(w.stands(words, opts, user))
		m.loops = m.loops || w.loops
		if m.text = w.shellText(words); m.text != nil {
			return m
		}
		if w.only != nil && !w.only(opts) {
			return m
		}
		if w.search && len(rest) > 0 && strings.Contains(rest[0].Value, " ") {
			m.text = &rest[0]
			return m
		}
		words = w.inside(name, opts, rest)
	}
	m.finish(words)
	return m
}

// finish looks at a command that is no wrapper.
func (m *meaning) finish(words []Word) {
	if len(words) == 0 {
		return
	}
	name := words[0].Base()
	if guess := installer.InVariable(words[0].variable); guess != "" {
		name, words = guess, slices.Clone(words)
		words[0].Value = installer.Unknown + "/" + guess // its path is not known
	}
	program := installer.Canonical(name)
	switch {
	case isShell(name):
		m.shell(words)
	case installer.IsPython(name):
		m.runPython(words)
	case len(words) > 2 && words[1].Value == "-m" && installer.Canonical(words[2].Value) != "": // python.sh -m pip
		m.runPython(words)
	case name == "eval":
		m.eval(words)
	case (name == "trap" || name == "_dockerfile_shell.sh") && len(words) > 1: // the latter is of micromamba's images
		m.text = &words[1]
	case name == "source" || name == ".":
		if len(words) > 1 {
			m.script = &scriptRef{name: words[1].Value}
		}
	case program != "":
		if !slices.ContainsFunc(m.programs, func(p Program) bool { return p.at == words[0].At && p.Name == program }) {
			m.take(words, len(words))
		}
	default:
		m.unknown(words)
	}
}

// take adds a program whose arguments end before an index.
func (m *meaning) take(words []Word, end int) {
	if name := installer.Canonical(words[0].Base()); name != "" {
		m.programs = append(m.programs, Program{Name: name, Path: words[0].Value, at: words[0].At, Args: words[1:max(end, 1)], Barrier: m.barrier})
	}
}

// shell reads the words after a shell's name: with -c a text, with a name a file, else its standard input.
func (m *meaning) shell(words []Word) {
	text, stdin := false, false
	for i := 1; i < len(words); i++ {
		value := words[i].Value
		switch {
		case value == "--rcfile" || value == "--init-file":
			i++
		case value == "-" || value == "--":
			if i+1 < len(words) {
				m.operand(&words[i+1], text, stdin)
				return
			}
		case strings.HasPrefix(value, "--"):
		case strings.HasPrefix(value, "-") || strings.HasPrefix(value, "+"):
			text = text || strings.Contains(value, "c")
			stdin = stdin || strings.Contains(value, "s")
			i += strings.Count(value, "o") + strings.Count(value, "O") // each takes a word: -euxo pipefail
		default:
			m.operand(&words[i], text, stdin)
			return
		}
	}
	m.stdin = true
}

// operand is the first word that is no option of a shell, which -c makes a text, and -s an argument.
func (m *meaning) operand(w *Word, text, stdin bool) {
	switch {
	case text:
		m.text = w
	case stdin:
		m.stdin = true
	default:
		m.script = &scriptRef{name: w.Value}
	}
}

// eval is given shell text: as one word, or as several.
func (m *meaning) eval(words []Word) {
	if len(words) == 2 && strings.ContainsAny(words[1].Value, " \n;") {
		m.text = &words[1]
		return
	}
	m.become(understand(words[1:], "", nil))
}

// become takes over what a command inside means, behind the same barrier.
func (m *meaning) become(inner meaning) {
	inner.behind(m.barrier)
	inner.programs = append(m.programs, inner.programs...)
	*m = inner
}

// plain commands only print, search or copy what they are given.
var plain = []string{"echo", "printf", "cat", "grep", "egrep", "fgrep", "sed", "awk", "tee", "test", "[", "[[", "which", "type", "hash", "ls", "rm", "ln", "cp", "mv", ":", "true",
	"apt", "apt-get", "apk", "dnf", "yum", "microdnf", "zypper", "git", "export", "alias", "tr", "cut", "head", "tail", "basename", "dirname", "logger"}

// unknown is a command that may be a script, or that may start what it is given.
func (m *meaning) unknown(words []Word) {
	name := words[0].Value
	if strings.Contains(name, "/") && !strings.Contains(name, installer.Unknown) {
		m.script = &scriptRef{name: name, direct: true}
	}
	if slices.Contains(plain, words[0].Base()) {
		return
	}
	i := slices.IndexFunc(words[1:], func(w Word) bool { return installer.Canonical(w.Base()) != "" || installer.IsPython(w.Base()) })
	if i < 0 {
		return
	}
	var rest meaning
	rest.finish(words[i+1:])
	for _, p := range rest.programs {
		if c := p.Call(); c.Tells() && slices.ContainsFunc(installer.Tools, c.Fetches) {
			p.Barrier = m.barrier.then(Barrier{Why: "behind " + shown(words[0]) + ", which may do anything with it"})
			m.programs = append(m.programs, p)
		}
	}
}
