package dockerfile

import (
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// This file finds the program that a command runs in the end, and knows the programs that fetch packages.

// meaning is what the words of a call come to when everything that only starts another command is taken off.
type meaning struct {
	programs []program // more than one where a program that fetches itself runs another: uv run
	barrier  barrier
	loops    bool    // it may run several times
	text     *word   // the word that a shell reads as text
	stdin    bool    // a shell reads its standard input
	python   bool    // a Python does
	script   *script // the file that a shell reads, or that may be a script
}

// program is one that is run, with its arguments.
type program struct {
	name    string // without path and version: pip; of python -m pip, too
	path    string // of the first word that is a Python or the program
	first   word   // that names it
	args    []word
	barrier barrier
	guessed bool // an unknown command has it among its words: it is behind a barrier
}

// behind says what stands before the command.
func (c *meaning) behind(b barrier) {
	c.barrier = b.then(c.barrier)
	for i := range c.programs {
		c.programs[i].barrier = b.then(c.programs[i].barrier)
	}
}

// maxWrappers is how many wrappers in wrappers are taken off.
const maxWrappers = 12

// understand takes wrappers off the words of a call of a user. Runners are functions that run their arguments.
func understand(words []word, user string, runners map[string]bool) (c meaning) {
	for range maxWrappers {
		if len(words) == 0 {
			return c
		}
		name := words[0].base()
		w := wrappers[name]
		if w == nil && runners[name] {
			w = &wrapper{search: true, loops: true}
		}
		if w == nil {
			break
		}
		opts, rest := w.strip(words)
		if w.itself {
			c.take(words, len(words)-len(rest))
		}
		if rest == nil && w.sub != nil {
			break
		}
		if w.barrier != nil {
			given := opts
			if name == "su" || name == "runuser" {
				given = words
			}
			c.barrier = c.barrier.then(w.barrier(given, user))
		}
		c.loops = c.loops || w.loops
		if text := w.shellText(words); text != nil {
			c.text = text
			return c
		}
		if w.only != nil && !w.only(opts) {
			return c
		}
		if w.search && len(rest) > 0 && strings.Contains(rest[0].value, " ") {
			c.text = &rest[0]
			return c
		}
		words = w.inside(name, opts, rest)
	}
	c.finish(words)
	return c
}

// inside is the command in the wrapper, in a form that all wrappers share.
func (w *wrapper) inside(name string, opts, rest []word) []word {
	switch {
	case w.search:
		i := slices.IndexFunc(rest, func(x word) bool { return isKnown(x.base()) })
		if i < 0 {
			return nil
		}
		return rest[i:]
	case name == "env":
		return splitString(opts, rest)
	case name == "hatch" && len(rest) > 0: // ENVIRONMENT:COMMAND
		if _, command, ok := strings.Cut(rest[0].value, ":"); ok {
			rest = slices.Clone(rest)
			rest[0].value, rest[0].part = command, true
		}
	}
	return rest
}

// splitString is what env -S makes of a string: several words.
func splitString(opts, rest []word) []word {
	if !slices.ContainsFunc(opts, func(w word) bool {
		return !strings.HasPrefix(w.value, "--") && strings.HasSuffix(w.value, "S") && w.value[0] == '-'
	}) {
		return rest
	}
	if len(rest) == 0 {
		return nil
	}
	var split []word
	for _, field := range strings.Fields(rest[0].value) {
		w := rest[0]
		w.value, w.part = field, w.part || field != rest[0].value
		split = append(split, w)
	}
	for len(split) > 0 && isAssignment(split[0].value) {
		split = split[1:]
	}
	return append(split, rest[1:]...)
}

func isKnown(name string) bool {
	return canonical(name) != "" || isPython(name) || isShell(name) || wrappers[name] != nil
}

// finish looks at a command that is no wrapper.
func (c *meaning) finish(words []word) {
	if len(words) == 0 {
		return
	}
	name := words[0].base()
	if guess := guessed(words[0].variable); guess != "" {
		name, words = guess, slices.Clone(words)
		words[0].value = unknown + "/" + guess // its path is not known
	}
	switch {
	case isShell(name):
		c.shell(words)
	case isPython(name):
		c.runPython(words)
	case len(words) > 2 && words[1].value == "-m" && canonical(words[2].value) != "": // python.sh -m pip
		c.runPython(words)
	case name == "eval":
		c.eval(words)
	case (name == "trap" || name == "_dockerfile_shell.sh") && len(words) > 1: // the latter is of micromamba's images
		c.text = &words[1]
	case name == "source" || name == ".":
		if len(words) > 1 {
			c.script = &script{name: words[1].value, sourced: true}
		}
	case canonical(name) != "":
		if !slices.ContainsFunc(c.programs, func(p program) bool { return p.first.at == words[0].at && p.name == canonical(name) }) {
			c.take(words, len(words))
		}
	default:
		c.unknown(words)
	}
}

// eval is given shell text: as one word, or as several.
func (c *meaning) eval(words []word) {
	if len(words) == 2 && strings.ContainsAny(words[1].value, " \n;") {
		c.text = &words[1]
		return
	}
	inner := understand(words[1:], "", nil)
	inner.behind(c.barrier)
	inner.programs = append(c.programs, inner.programs...)
	*c = inner
}

// plain commands only print, search or copy what they are given.
var plain = []string{"echo", "printf", "cat", "grep", "egrep", "fgrep", "sed", "awk", "tee", "test", "[", "[[", "which", "type", "hash", "ls", "rm", "ln", "cp", "mv", ":", "true",
	"apt", "apt-get", "apk", "dnf", "yum", "microdnf", "zypper", "git", "export", "alias", "tr", "cut", "head", "tail", "basename", "dirname", "logger"}

// unknown is a command that may be a script, or that may start what it is given.
func (c *meaning) unknown(words []word) {
	name := words[0].value
	if strings.Contains(name, "/") && !strings.Contains(name, unknown) {
		c.script = &script{name: name, direct: true}
	}
	if slices.Contains(plain, words[0].base()) {
		return
	}
	for i := 1; i < len(words); i++ {
		rest := meaning{}
		if canonical(words[i].base()) == "" && !isPython(words[i].base()) {
			continue
		}
		rest.finish(words[i:])
		for _, p := range rest.programs {
			if p.named() && slices.ContainsFunc(Tools, p.fetches) {
				p.guessed, p.barrier = true, c.barrier.then(barrier{why: "behind " + shown(words[0]) + ", which may do anything with it"})
				c.programs = append(c.programs, p)
			}
		}
		return
	}
}

// shown is a command as messages name it.
func shown(w word) string {
	if strings.Contains(w.value, unknown) {
		return "a command that only the shell knows"
	}
	return w.base()
}

// named says whether the words name a program and what it is to do: a name alone may be any word.
func (p *program) named() bool {
	return p.name == "uv" && p.has("install") || fetchers[p.name].fetch != nil && p.name != "setup.py"
}

// runPython looks at what a Python is to run: a module, or a file that is one of the programs.
func (c *meaning) runPython(words []word) {
	for i := 1; i < len(words); i++ {
		value := words[i].value
		switch {
		case value == "-c":
			if i+1 < len(words) {
				c.pythonText(words[i+1].value, words[0])
			}
			return
		case value == "-m":
			c.module(words, i+1)
			return
		case len(value) > 2 && strings.HasPrefix(value, "-m"):
			inner := slices.Clone(words)
			inner[i].value, inner[i].part = value[2:], true
			c.module(inner, i)
			return
		case value == "-W" || value == "-X" || value == "--check-hash-based-pycs":
			i++
		case value == "-":
			c.python = true
			return
		case strings.HasPrefix(value, "-") && len(value) > 2 && strings.HasSuffix(value, "m") && !strings.HasPrefix(value, "--"): // -Im
			c.module(words, i+1)
			return
		case !strings.HasPrefix(value, "-"):
			c.module(words, i)
			return
		}
	}
	c.python = true
}

// startsPip matches Python text that starts pip.
var startsPip = lazyregexp.New(`\bpip["']?[\s,]+["']?install\b|\bpip\.main\b`)

// pythonText looks into what a Python is to execute.
func (c *meaning) pythonText(text string, python word) {
	if !startsPip().MatchString(text) {
		return
	}
	args := []word{{value: "install"}}
	if strings.Contains(text, "--no-cache-dir") {
		args = append(args, word{value: "--no-cache-dir", part: true})
	}
	c.programs = append(c.programs, program{name: "pip", path: python.value, first: python, args: args, barrier: c.barrier})
}

// module takes the program that a Python runs from there on.
func (c *meaning) module(words []word, i int) {
	if i >= len(words) {
		return
	}
	rest := slices.Clone(words[i:])
	name := strings.TrimSuffix(rest[0].base(), ".pyz")
	if name == "__main__.py" {
		name = word{value: strings.TrimSuffix(rest[0].value, "/__main__.py")}.base()
	}
	switch name {
	case "build":
		name = "pyproject-build"
	case "piptools":
		if len(rest) > 1 {
			name, rest = "pip-"+rest[1].value, rest[1:]
		}
	}
	if canonical(name) == "" {
		return
	}
	rest[0].value = name
	inner := understand(rest, "", nil)
	inner.behind(c.barrier)
	for j := range inner.programs {
		inner.programs[j].path = words[0].value
	}
	inner.programs = append(c.programs, inner.programs...)
	inner.loops = inner.loops || c.loops
	*c = inner
}

// take adds a program whose arguments end before an index.
func (c *meaning) take(words []word, end int) {
	if name := canonical(words[0].base()); name != "" {
		c.programs = append(c.programs, program{name: name, path: words[0].value, first: words[0], args: words[1:max(end, 1)], barrier: c.barrier})
	}
}

// versions are what may follow the name of a Python or of pip.
const versions = "0123456789." + unknown

func isPython(name string) bool {
	name = strings.TrimRight(name, versions)
	return name == "python" || name == "pypy"
}

var (
	pipVariable    = lazyregexp.New(`(?i)^(.*_)?pip3?(_?(bin|exe|cmd|path|command))?$`)
	pythonVariable = lazyregexp.New(`(?i)^(.*_)?(python3?|py3?)(_?(bin|exe|executable|cmd|path|interpreter|command))?$`)
	uvVariable     = lazyregexp.New(`(?i)^(.*_)?uv(_?(bin|exe|cmd|path))?$`)
)

// guessed is the program that a variable of that name has most likely.
func guessed(variable string) string {
	switch {
	case variable == "":
		return ""
	case pipVariable().MatchString(variable):
		return "pip"
	case uvVariable().MatchString(variable):
		return "uv"
	case pythonVariable().MatchString(variable):
		return "python"
	}
	return ""
}
