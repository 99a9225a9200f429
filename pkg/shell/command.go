// This file owns commands: where in one a shell reads text, and which scripts it executes.

package shell

import (
	"slices"
)

// Command is what a RUN executes.
type Command struct {
	Args    []string // the whole argument vector
	Env     []string // NAME=VALUE; a later one wins
	Dir     string   // absolute; empty: not known
	User    string   // the name or number that USER has
	Files   []string // texts of files that are executed: heredocs with a first line of #!
	Scripts Scripts  // those among the files before it, as far as they have been read
}

// Lookup returns the value of a variable of the environment, and whether it has one.
func (c *Command) Lookup(name string) (string, bool) {
	return lookup(c.Env, name)
}

// Getenv returns the value of a variable of the environment; empty when it has none.
func (c *Command) Getenv(name string) string {
	value, _ := c.Lookup(name)
	return value
}

// Clone returns a Command whose Args, Env and Files can be changed.
func (c *Command) Clone() *Command {
	out := *c
	out.Args, out.Env, out.Files = slices.Clone(c.Args), slices.Clone(c.Env), slices.Clone(c.Files)
	return &out
}

// Mentions says whether something is found in any text of the command, or of a script that it executes.
func (c *Command) Mentions(found func(text string) bool) bool {
	return slices.ContainsFunc(c.Args, found) || slices.ContainsFunc(c.Files, found) ||
		slices.ContainsFunc(c.Scripts.read, func(s scriptFile) bool { return found(s.text) })
}

// Text is a piece of a Command that a shell reads.
type Text struct {
	Text string
	Set  func(c *Command, text string) // puts a changed one into a copy of the Command

	barrier Barrier // the barrier before the shell: SHELL may name conda run
}

// Texts finds what shells read in the command: the script of SHELL, or a file of a heredoc.
func (c *Command) Texts() (all []Text) {
	if m := understand(c.argWords(), c.User, nil); m.text != nil {
		i := m.text.At
		all = append(all, Text{c.Args[i], func(c *Command, text string) { c.Args[i] = text }, m.barrier})
	}
	for i, text := range c.Files {
		if m, ok := shebang(text, c.User); ok {
			all = append(all, Text{text, func(c *Command, text string) { c.Files[i] = text }, m.barrier})
		}
	}
	return all
}

// Calls lists the simple commands of a text of the command, in its order.
func (c *Command) Calls(t Text) []*Call {
	return newReader(c.surroundings(), t.Text, t.barrier).calls()
}

// AllCalls lists the simple commands of all texts, in their order; those of scripts come last. What the shell would not
// understand has none. A command without a shell is one call.
func (c *Command) AllCalls() (all []*Call) {
	texts := c.Texts()
	for _, t := range texts {
		all = append(all, c.Calls(t)...)
	}
	if len(texts) == 0 && len(c.Args) > 0 {
		words := c.argWords()
		all = append(all, &Call{Words: words, dir: c.Dir, does: understand(words, c.User, nil)})
	}
	for _, s := range c.Scripts.read {
		all = append(all, s.calls(c.surroundings())...)
	}
	return all
}

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
			more = append(more, f.calls(c.surroundings())...)
		}
		next = more
	}
	return found
}

// surroundings are what a shell of the command knows at first.
func (c *Command) surroundings() surroundings { return surroundings{c.Env, c.Dir, c.User} }

// argWords are the arguments as words, whose places are their indexes.
func (c *Command) argWords() (all []Word) {
	for i, a := range c.Args {
		all = append(all, Word{Value: a, At: i, End: i})
	}
	return all
}
