package dockerfile

import (
	"slices"
	"strings"
)

// This file finds the texts of a RUN that shells read, and what the words after a shell's name mean.

// shellText is a piece of a RUN that a shell reads.
type shellText struct {
	text    string
	barrier barrier                   // what stands before the shell: SHELL may name conda run
	set     func(r *Run, text string) // puts a changed one into a copy of the RUN
}

func isShell(name string) bool {
	switch name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh":
		return true
	}
	return false
}

// argWords are the arguments of the RUN as words, whose places are their indexes.
func (r *Run) argWords() (all []word) {
	for i, a := range r.Args {
		all = append(all, word{value: a, at: i, end: i})
	}
	return all
}

// shellTexts finds what shells read in the RUN: the script of SHELL, or a file of a heredoc.
func (r *Run) shellTexts() (all []shellText) {
	if c := understand(r.argWords(), r.User, nil); c.text != nil {
		i := c.text.at
		all = append(all, shellText{r.Args[i], c.barrier, func(r *Run, text string) { r.Args[i] = text }})
	}
	for i, f := range r.Files {
		if c, ok := shebang(string(f.Data), r.User); ok {
			all = append(all, shellText{string(f.Data), c.barrier, func(r *Run, text string) { r.Files[i].Data = []byte(text) }})
		}
	}
	return all
}

// shebang says whether the first line of a file names a shell, or names none.
func shebang(text, user string) (meaning, bool) {
	line, _, _ := strings.Cut(text, "\n")
	line, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return meaning{}, false
	}
	var words []word
	for _, field := range strings.Fields(line) {
		words = append(words, word{value: field})
	}
	c := understand(words, user, nil)
	return c, c.stdin || c.script != nil && !c.script.direct
}

// texts is all text of the RUN in which something may be named.
func (r *Run) texts() []string {
	all := slices.Clone(r.Args)
	for _, f := range r.Files {
		all = append(all, string(f.Data))
	}
	for _, s := range r.scripts {
		all = append(all, s.text)
	}
	return all
}

// Mentions says whether a text of the RUN, or of a script that it executes, is found.
func (r *Run) Mentions(found func(text string) bool) bool {
	return slices.ContainsFunc(r.texts(), found)
}

// shell reads the words after a shell's name: with -c a text, with a name a file, else its standard input.
func (c *meaning) shell(words []word) {
	text, stdin := false, false
	for i := 1; i < len(words); i++ {
		value := words[i].value
		switch {
		case value == "--rcfile" || value == "--init-file":
			i++
		case value == "-" || value == "--":
			if i+1 < len(words) {
				c.operand(&words[i+1], text, stdin)
				return
			}
		case strings.HasPrefix(value, "--"):
		case strings.HasPrefix(value, "-") || strings.HasPrefix(value, "+"):
			text = text || strings.Contains(value, "c")
			stdin = stdin || strings.Contains(value, "s")
			i += strings.Count(value, "o") + strings.Count(value, "O") // each takes a word: -euxo pipefail
		default:
			c.operand(&words[i], text, stdin)
			return
		}
	}
	c.stdin = true
}

// operand is the first word that is no option of a shell.
func (c *meaning) operand(w *word, text, stdin bool) {
	switch {
	case text:
		c.text = w
	case stdin:
		c.stdin = true
	default:
		c.script = &script{name: w.value}
	}
}

// lookup returns the value of a variable of the RUN's environment.
func (r *Run) lookup(name string) (string, bool) {
	for _, pair := range slices.Backward(r.Env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok && name != "" {
			return value, true
		}
	}
	return "", false
}

// Getenv returns the value of a variable of the RUN's environment; empty when it has none.
func (r *Run) Getenv(name string) string {
	value, _ := r.lookup(name)
	return value
}
