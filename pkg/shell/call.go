// This file owns calls: simple commands in shell text.

package shell

import "cmp"

// Call is one simple command in the shell text of a Command.
type Call struct {
	Words   []Word // never empty
	Assigns []Word // NAME=VALUE before it, or after export
	At, End int    // its place in the text
	Repeats bool   // it stands in a loop
	Fixed   bool   // its text is not to be changed: a file has it, or it is the text of another command
	File    string // the script that has it; empty: the Dockerfile

	dir  string // its working directory; empty where only the shell knows it
	does meaning
}

// Name is the first word, without a path.
func (c *Call) Name() string { return c.Words[0].Base() }

// Programs are those that the call comes to; more than one where one that fetches itself runs another.
func (c *Call) Programs() []Program { return c.does.programs }

// Place names the text in which a call stands that is Fixed.
func (c *Call) Place() string { return cmp.Or(c.File, "the output of a command") }
