// This file owns the walk through a text: which calls are in it, and in what order.

package shell

import (
	"mvdan.cc/sh/v3/syntax"
)

// maxDepth is how many shells in shells are followed.
const maxDepth = 6

// reader collects the calls of one text, and of the texts that shells are given in it.
type reader struct {
	scope   *scope
	expand  expander
	text    string
	depth   int // the number of shells inside of each other that may still be followed
	barrier Barrier
	fixed   bool
	loop    bool
	feeds   map[*syntax.Stmt]*syntax.Stmt // the statement that stands before each one in a pipe
	found   []*Call
}

// newReader reads a text in its surroundings, behind a barrier.
func newReader(around surroundings, text string, b Barrier) *reader {
	s := newScope(around)
	return &reader{text: text, depth: maxDepth, barrier: b, scope: s, expand: expander{scope: s}}
}

// calls reads the whole text. What is no shell text, or too deep, has none.
func (r *reader) calls() []*Call {
	file, err := Parse(r.text)
	if err != nil || r.depth == 0 {
		return nil
	}
	r.feeds = map[*syntax.Stmt]*syntax.Stmt{}
	r.read(file, r.loop)
	return r.found
}

// read walks a part of the text; loop says that it may run several times.
func (r *reader) read(node syntax.Node, loop bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ForClause, *syntax.WhileClause:
			if n != node {
				r.loopVariable(n)
				r.read(n, true)
				return false
			}
		case *syntax.FuncDecl:
			if n.Name != nil {
				r.scope.runners[n.Name.Value] = runsArguments(n.Body)
			}
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				r.feeds[n.Y] = n.X
			}
		case *syntax.Stmt:
			r.stmt(n, loop)
		}
		return true
	})
}

// loopVariable gives the variable of a for the first of its values: the others are of its kind.
func (r *reader) loopVariable(n syntax.Node) {
	loop, ok := n.(*syntax.ForClause)
	if !ok {
		return
	}
	if iter, ok := loop.Loop.(*syntax.WordIter); ok && len(iter.Items) > 0 {
		r.scope.values[iter.Name.Value] = r.expand.literal(iter.Items[0].Parts)
	}
}

// runsArguments says whether a function runs "$@".
func runsArguments(body *syntax.Stmt) (found bool) {
	syntax.Walk(body, func(n syntax.Node) bool {
		if e, ok := n.(*syntax.ParamExp); ok && (e.Param.Value == "@" || e.Param.Value == "*") {
			found = true
		}
		_, inner := n.(*syntax.FuncDecl)
		return !found && !inner
	})
	return found
}

// stmt takes in a simple command, and remembers what it changes for the later ones.
func (r *reader) stmt(s *syntax.Stmt, loop bool) {
	c := &Call{Repeats: loop, Fixed: r.fixed, dir: r.scope.dir}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		c.Assigns = r.expand.assigns(cmd.Assigns)
		c.Words = r.expand.words(cmd.Args)
		c.At, c.End = r.expand.at(cmd.Pos()), r.expand.at(cmd.End())
	case *syntax.DeclClause:
		c.Words = []Word{{Value: cmd.Variant.Value}}
		c.Assigns = r.expand.assigns(cmd.Args)
		c.At, c.End = r.expand.at(cmd.Pos()), r.expand.at(cmd.End())
	default:
		return
	}
	if len(c.Words) == 0 {
		c.Words = []Word{{Value: ":", At: c.At, End: c.End}}
	}
	r.add(c)
	r.scope.remember(c)
	r.inner(c, s)
}

// add understands a call and takes it in.
func (r *reader) add(c *Call) {
	c.does = understand(c.Words, r.scope.around.user, r.scope.runners)
	c.does.behind(r.barrier)
	c.Repeats = c.Repeats || c.does.loops
	r.found = append(r.found, c)
}
