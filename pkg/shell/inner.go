// This file owns what calls give to other shells and to Pythons: as a word, in a heredoc, by a pipe, or in a file that the
// text writes.

package shell

import (
	"bytes"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/gbuild/gbuild/pkg/installer"
)

// inner reads what a shell is given: as words, in a heredoc, or by a pipe.
func (r *reader) inner(c *Call, s *syntax.Stmt) {
	if c.does.text != nil && c.does.text.syntax != nil {
		r.quoted(c.does.text.syntax, c)
	}
	r.written(c, s)
	if c.does.python {
		r.python(c, s)
	}
	if !c.does.stdin {
		return
	}
	for _, redirect := range s.Redirs {
		switch {
		case redirect.Hdoc != nil:
			r.within(redirect.Hdoc, c)
			return
		case redirect.Op == syntax.WordHdoc:
			r.quoted(redirect.Word, c)
			return
		case redirect.Op == syntax.RdrIn:
			c.does.script = &scriptRef{name: r.expand.literal(redirect.Word.Parts)}
			return
		}
	}
	if from := r.feeds[s]; from != nil {
		r.output(from, c)
	}
}

// heredoc is the heredoc of a command; nil without one.
func heredoc(s *syntax.Stmt) *syntax.Word {
	for _, redirect := range s.Redirs {
		if redirect.Hdoc != nil {
			return redirect.Hdoc
		}
	}
	return nil
}

// source is the text of a node as it is written.
func (r *reader) source(n syntax.Node) string { return r.text[n.Pos().Offset():n.End().Offset()] }

// written remembers what cat or tee writes of a heredoc into a file, and reads such a file as a script that is called.
// The file may stay in the image, so its text is not changed.
func (r *reader) written(c *Call, s *syntax.Stmt) {
	if text := heredoc(s); text != nil {
		for _, redirect := range s.Redirs {
			if redirect.Op == syntax.RdrOut || redirect.Op == syntax.RdrClob {
				r.scope.files[below(c.dir, r.expand.literal(redirect.Word.Parts))] = r.source(text)
			}
		}
		if c.Name() == "tee" && len(c.Words) > 1 {
			r.scope.files[below(c.dir, c.Words[len(c.Words)-1].Value)] = r.source(text)
		}
	}
	f, ok := c.scriptFile()
	if !ok || r.scope.files[f.path] == "" || r.depth == 1 {
		return
	}
	f.text = r.scope.files[f.path]
	if c.readByShell(f.text, r.scope.around.user) {
		delete(r.scope.files, f.path) // it may call itself
		r.found = append(r.found, f.calls(r.scope.around)...)
	}
}

// python looks at what a Python reads on its standard input.
func (r *reader) python(c *Call, s *syntax.Stmt) {
	if text := heredoc(s); text != nil {
		c.does.pythonText(r.source(text), c.Words[0])
	}
	from := r.feeds[s]
	if from == nil {
		return
	}
	cmd, ok := from.Cmd.(*syntax.CallExpr)
	if !ok {
		return
	}
	if slices.ContainsFunc(values(r.expand.words(cmd.Args)), installer.IsPipInstaller) {
		c.does.take([]Word{{Value: "get-pip.py", At: c.At, End: c.At}}, 1)
	}
}

// output reads what a command prints, for the shell that a pipe leads to.
func (r *reader) output(from *syntax.Stmt, c *Call) {
	cmd, ok := from.Cmd.(*syntax.CallExpr)
	if !ok || len(cmd.Args) == 0 {
		return
	}
	words := r.expand.words(cmd.Args)
	switch words[0].Base() {
	case "cat":
		if text := heredoc(from); text != nil {
			r.within(text, c)
		} else if len(words) == 2 {
			c.does.script = &scriptRef{name: words[1].Value}
		}
	case "echo", "printf":
		r.printed(words[1:], c)
	}
}

// printed reads the words of echo or printf: strings in quotes, or the words of a command.
func (r *reader) printed(words []Word, c *Call) {
	for len(words) > 0 && isOption(words[0]) {
		words = words[1:]
	}
	for _, w := range words {
		if strings.ContainsAny(w.Value, " ;") && w.syntax != nil {
			r.quoted(w.syntax, c)
		}
	}
	if len(words) > 0 && !strings.Contains(words[0].Value, " ") {
		r.add(&Call{Words: words, At: words[0].At, End: words[len(words)-1].End, Fixed: true, dir: r.scope.dir})
	}
}

// quoted reads a word in quotes as shell text. Escapes in it stay as they are, and quotes become blanks, so that places in
// it stay right: neither changes a word that matters here.
func (r *reader) quoted(w *syntax.Word, c *Call) {
	from := int(w.Pos().Offset())
	text := []byte(r.source(w))
	lines := c.does.stdin // echo and printf make lines of \n
	for _, part := range w.Parts {
		start, end := int(part.Pos().Offset())-from, int(part.End().Offset())-from-1
		switch q := part.(type) {
		case *syntax.SglQuoted:
			if q.Dollar {
				text[start], start, lines = ' ', start+1, true
			}
		case *syntax.DblQuoted:
			if q.Dollar {
				text[start], start = ' ', start+1
			}
		default:
			continue
		}
		text[start], text[end] = ' ', ' '
	}
	if lines {
		text = bytes.ReplaceAll(text, []byte(`\n`), []byte(" \n"))
	}
	r.part(string(text), from, c)
}

// within reads a heredoc as shell text.
func (r *reader) within(w *syntax.Word, c *Call) {
	if from, to := int(w.Pos().Offset()), int(w.End().Offset()); from < to && to <= len(r.text) {
		r.part(r.text[from:to], from, c)
	}
}

// part reads a part of the text as a shell that the call starts reads it.
func (r *reader) part(text string, from int, c *Call) {
	in := &reader{text: text, depth: r.depth - 1, barrier: c.does.barrier, fixed: r.fixed, loop: c.Repeats,
		scope: r.scope, expand: expander{r.scope, r.expand.offset + from}}
	r.found = append(r.found, in.calls()...)
}
