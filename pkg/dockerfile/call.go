package dockerfile

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// call is one simple command in the shell text of a RUN.
type call struct {
	words   []word // never empty
	assigns []word // NAME=VALUE before it, or after export
	at, end int    // in its text
	repeats bool   // it stands in a loop
	fixed   bool   // its text is not to be changed: a file has it, or it is the text of another command
	file    string // the script that has it; empty: the Dockerfile
	dir     string // where it runs; empty where only the shell knows
	does    meaning
}

// word is one word of a call. value has no quotes, and unknown where the shell puts something in.
type word struct {
	value    string
	at, end  int    // in the text
	variable string // whose value it is, where only the shell knows that
	part     bool   // its text is that of a variable, which may have made several words
	syntax   *syntax.Word
}

func (w word) base() string { return path.Base(w.value) }

// maxDepth is how many shells in shells are followed.
const maxDepth = 6

// calls lists the simple commands of the RUN, in the order of the text; those of scripts that it runs come last. What the
// shell would not understand has none.
func (r *Run) calls() (all []*call) {
	texts := r.shellTexts()
	for _, t := range texts {
		all = append(all, r.parse(t.text, t.barrier)...)
	}
	if len(texts) == 0 && len(r.Args) > 0 {
		c := &call{words: r.argWords(), dir: r.Dir}
		c.does = understand(c.words, r.User, nil)
		all = append(all, c)
	}
	for _, s := range r.scripts {
		all = append(all, s.calls(r)...)
	}
	return all
}

// parse reads shell text of the RUN.
func (r *Run) parse(text string, b barrier) []*call {
	return newCallReader(r, text, b).calls()
}

func newCallReader(r *Run, text string, b barrier) *callReader {
	return &callReader{text: text, depth: maxDepth, barrier: b, scope: &shellScope{run: r, dir: r.Dir, values: map[string]string{}, runners: map[string]bool{}, files: map[string]string{}}}
}

// shellScope is what a shell knows while it reads, as far as the text shows.
type shellScope struct {
	run     *Run
	dir     string            // empty: not known
	values  map[string]string // of variables that the text sets
	runners map[string]bool   // functions that run the command that they are given
	files   map[string]string // that the text writes
}

// callReader collects the calls of one text, and of the texts that shells are given in it.
type callReader struct {
	text    string
	offset  int // in a longer text
	depth   int
	barrier barrier
	fixed   bool
	loop    bool
	scope   *shellScope
	feeds   map[*syntax.Stmt]*syntax.Stmt // what a pipe leads to each
	found   []*call
}

func (p *callReader) calls() []*call {
	file, err := parseShell(p.text)
	if err != nil || p.depth == 0 {
		return nil
	}
	p.feeds = map[*syntax.Stmt]*syntax.Stmt{}
	p.read(file, p.loop)
	return p.found
}

// maxShellText is how long a text may be that is read as shell text: nested deeply, one takes a thousand times its length.
const maxShellText = 64 << 10

func parseShell(text string) (*syntax.File, error) {
	if len(text) > maxShellText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxShellText)
	}
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
}

func (p *callReader) read(node syntax.Node, loop bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ForClause, *syntax.WhileClause:
			if n != node {
				p.loopVariable(n)
				p.read(n, true)
				return false
			}
		case *syntax.FuncDecl:
			if n.Name != nil {
				p.scope.runners[n.Name.Value] = runsArguments(n.Body)
			}
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				p.feeds[n.Y] = n.X
			}
		case *syntax.Stmt:
			p.stmt(n, loop)
		}
		return true
	})
}

// loopVariable gives the variable of a for the first of its values: the others are of its kind.
func (p *callReader) loopVariable(n syntax.Node) {
	loop, ok := n.(*syntax.ForClause)
	if !ok {
		return
	}
	if iter, ok := loop.Loop.(*syntax.WordIter); ok && len(iter.Items) > 0 {
		p.scope.values[iter.Name.Value] = p.literal(iter.Items[0].Parts)
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

func (p *callReader) stmt(s *syntax.Stmt, loop bool) {
	c := &call{repeats: loop, fixed: p.fixed, dir: p.scope.dir}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		c.assigns = p.assigns(cmd.Assigns)
		c.words = p.words(cmd.Args)
		c.at, c.end = p.at(cmd.Pos()), p.at(cmd.End())
	case *syntax.DeclClause:
		c.words = []word{{value: cmd.Variant.Value}}
		c.assigns = p.assigns(cmd.Args)
		c.at, c.end = p.at(cmd.Pos()), p.at(cmd.End())
	default:
		return
	}
	if len(c.words) == 0 {
		c.words = []word{{value: ":", at: c.at, end: c.at}}
	}
	p.add(c)
	p.remember(c)
	p.inner(c, s)
}

// add understands a call and takes it in.
func (p *callReader) add(c *call) {
	c.does = understand(c.words, p.scope.run.User, p.scope.runners)
	c.does.behind(p.barrier)
	c.repeats = c.repeats || c.does.loops
	p.found = append(p.found, c)
}

// remember notes what a call changes for the later ones.
func (p *callReader) remember(c *call) {
	name := c.words[0].base()
	if name == ":" || name == "export" || name == "readonly" || name == "declare" || name == "local" {
		for _, a := range c.assigns {
			name, value, _ := strings.Cut(a.value, "=")
			p.scope.values[name] = value
		}
	}
	if (name == "cd" || name == "pushd") && len(c.words) > 1 {
		p.scope.dir = below(p.scope.dir, c.words[len(c.words)-1].value)
	}
}

// below is a path as a shell in a directory sees it; empty where that is not known.
func below(dir, name string) string {
	switch {
	case strings.Contains(name, unknown), name == "-", strings.HasPrefix(name, "~"):
		return ""
	case path.IsAbs(name):
		return path.Clean(name)
	case dir == "":
		return ""
	}
	return path.Join(dir, name)
}

// inner reads what a shell is given: as words, in a heredoc, or by a pipe.
func (p *callReader) inner(c *call, s *syntax.Stmt) {
	if c.does.text != nil && c.does.text.syntax != nil {
		p.quoted(c.does.text.syntax, c)
	}
	p.written(c, s)
	if c.does.python {
		p.python(c, s)
	}
	if !c.does.stdin {
		return
	}
	for _, r := range s.Redirs {
		switch {
		case r.Hdoc != nil:
			p.within(r.Hdoc, c)
			return
		case r.Op == syntax.WordHdoc:
			p.quoted(r.Word, c)
			return
		case r.Op == syntax.RdrIn:
			c.does.script = &script{name: p.literal(r.Word.Parts)}
			return
		}
	}
	if from := p.feeds[s]; from != nil {
		p.output(from, c)
	}
}

// heredoc is the heredoc of a command; nil without one.
func heredoc(s *syntax.Stmt) *syntax.Word {
	for _, r := range s.Redirs {
		if r.Hdoc != nil {
			return r.Hdoc
		}
	}
	return nil
}

// written remembers what cat or tee writes of a heredoc into a file, and reads such a file as a script that is called.
// The file may stay in the image, so its text is not changed.
func (p *callReader) written(c *call, s *syntax.Stmt) {
	if text := heredoc(s); text != nil {
		for _, r := range s.Redirs {
			if r.Op == syntax.RdrOut || r.Op == syntax.RdrClob {
				p.scope.files[below(c.dir, p.literal(r.Word.Parts))] = p.text[text.Pos().Offset():text.End().Offset()]
			}
		}
		if c.words[0].base() == "tee" && len(c.words) > 1 {
			p.scope.files[below(c.dir, c.words[len(c.words)-1].value)] = p.text[text.Pos().Offset():text.End().Offset()]
		}
	}
	f, ok := c.scriptFile()
	if !ok || p.scope.files[f.path] == "" || p.depth == 1 {
		return
	}
	f.text = p.scope.files[f.path]
	if c.isShell(f.text, p.scope.run) {
		delete(p.scope.files, f.path) // it may call itself
		p.found = append(p.found, f.calls(p.scope.run)...)
	}
}

// pipInstaller matches the addresses of Python programs that call pip, and that are fed to a Python.
var pipInstaller = lazyregexp.New(`get-pip\.py|install\.python-poetry\.org|install-poetry\.py|install-pdm\.py`)

// python looks at what a Python reads on its standard input.
func (p *callReader) python(c *call, s *syntax.Stmt) {
	if text := heredoc(s); text != nil {
		c.does.pythonText(p.text[text.Pos().Offset():text.End().Offset()], c.words[0])
	}
	from := p.feeds[s]
	if from == nil {
		return
	}
	cmd, ok := from.Cmd.(*syntax.CallExpr)
	if !ok {
		return
	}
	if words := p.words(cmd.Args); slices.ContainsFunc(words, func(w word) bool { return pipInstaller().MatchString(w.value) }) {
		c.does.take([]word{{value: "get-pip.py", at: c.at, end: c.at}}, 1)
	}
}

// output reads what a command prints, for the shell that a pipe leads to.
func (p *callReader) output(from *syntax.Stmt, c *call) {
	cmd, ok := from.Cmd.(*syntax.CallExpr)
	if !ok || len(cmd.Args) == 0 {
		return
	}
	words := p.words(cmd.Args)
	switch words[0].base() {
	case "cat":
		if text := heredoc(from); text != nil {
			p.within(text, c)
		} else if len(words) == 2 {
			c.does.script = &script{name: words[1].value}
		}
	case "echo", "printf":
		p.printed(words[1:], c)
	}
}

// printed reads the words of echo or printf: strings in quotes, or the words of a command.
func (p *callReader) printed(words []word, c *call) {
	for len(words) > 0 && strings.HasPrefix(words[0].value, "-") {
		words = words[1:]
	}
	for _, w := range words {
		if strings.ContainsAny(w.value, " ;") && w.syntax != nil {
			p.quoted(w.syntax, c)
		}
	}
	if len(words) > 0 && !strings.Contains(words[0].value, " ") {
		p.add(&call{words: words, at: words[0].at, end: words[len(words)-1].end, fixed: true, dir: p.scope.dir})
	}
}

// quoted reads a word in quotes as shell text. Escapes in it stay as they are, and quotes become blanks, so that places in
// it stay right: neither changes a word that matters here.
func (p *callReader) quoted(w *syntax.Word, c *call) {
	from := int(w.Pos().Offset())
	text := []byte(p.text[from:int(w.End().Offset())])
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
	p.shellPart(string(text), from, c)
}

func (p *callReader) within(w *syntax.Word, c *call) {
	if from, to := int(w.Pos().Offset()), int(w.End().Offset()); from < to && to <= len(p.text) {
		p.shellPart(p.text[from:to], from, c)
	}
}

// shellPart reads a part of the text as a shell that the call starts reads it.
func (p *callReader) shellPart(text string, from int, c *call) {
	in := &callReader{text: text, offset: p.offset + from, depth: p.depth - 1, barrier: c.does.barrier, fixed: p.fixed, loop: c.repeats, scope: p.scope}
	p.found = append(p.found, in.calls()...)
}

func (p *callReader) at(pos syntax.Pos) int { return p.offset + int(pos.Offset()) }
