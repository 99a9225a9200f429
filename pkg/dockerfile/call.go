package dockerfile

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// call is one simple command in the shell text of a RUN.
type call struct {
	words   []word // never empty
	assigns []word // NAME=VALUE before it, or after export
	at, end int    // in its text
	repeats bool   // it stands in a loop
}

// word is one word of a call. value has no quotes, and unknown where the shell puts something in.
type word struct {
	value   string
	at, end int // in the text
}

func (w word) base() string { return path.Base(w.value) }

// maxDepth is how many shells in shells are followed.
const maxDepth = 4

// shellText is a piece of a RUN that a shell reads.
type shellText struct {
	text string
	set  func(r *Run, text string) // puts a changed one into a copy of the RUN
}

var (
	shellName = lazyRegexp(`^(ba|da|a|z|k)?sh$`)
	shebang   = lazyRegexp(`^#!\s*(\S*/)?(env\s+(-S\s+)?)?(\S*/)?(ba|da|a|z|k)?sh\b`)
	minusC    = lazyRegexp(`^-[a-zA-Z]*c[a-zA-Z]*$`)
)

// shellTexts finds what shells read in the RUN: the script of SHELL, or a file of a heredoc.
func (r *Run) shellTexts() (all []shellText) {
	if i := scriptIndex(r.Args); i >= 0 {
		all = append(all, shellText{r.Args[i], func(r *Run, text string) { r.Args[i] = text }})
	}
	for i, f := range r.Files {
		if shebang().Match(f.Data) {
			all = append(all, shellText{string(f.Data), func(r *Run, text string) { r.Files[i].Data = []byte(text) }})
		}
	}
	return all
}

// scriptIndex says which argument of a shell is a script; -1 when none is.
func scriptIndex(args []string) int {
	if len(args) == 0 || !shellName().MatchString(path.Base(args[0])) {
		return -1
	}
	i := slices.IndexFunc(args, minusC().MatchString)
	if i > 0 && strings.Contains(args[i], "o") { // bash -ceo pipefail SCRIPT
		i++
	}
	if i <= 0 || i+1 >= len(args) {
		return -1
	}
	return i + 1
}

// texts is all text of the RUN in which something may be named.
func (r *Run) texts() []string {
	all := slices.Clone(r.Args)
	for _, f := range r.Files {
		all = append(all, string(f.Data))
	}
	return all
}

// calls lists the simple commands of the RUN, in the order of the text. What the shell would not understand has none.
func (r *Run) calls() (all []*call) {
	texts := r.shellTexts()
	for _, t := range texts {
		all = append(all, parseCalls(t.text, 0, maxDepth)...)
	}
	if len(texts) == 0 && len(r.Args) > 0 {
		c := &call{}
		for _, a := range r.Args {
			c.words = append(c.words, word{value: a})
		}
		all = append(all, c)
	}
	return all
}

// parseCalls reads shell text that stands at an offset of a longer one.
func parseCalls(text string, offset, depth int) []*call {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil || depth == 0 {
		return nil
	}
	p := &callReader{text: text, offset: offset, depth: depth}
	p.read(file, false)
	return p.calls
}

// callReader collects the calls of one text, and of the texts that shells are given in it.
type callReader struct {
	text   string
	offset int
	depth  int
	calls  []*call
}

func (p *callReader) read(node syntax.Node, loop bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ForClause, *syntax.WhileClause:
			if n != node {
				p.read(n, true)
				return false
			}
		case *syntax.Stmt:
			p.stmt(n, loop)
		}
		return true
	})
}

func (p *callReader) stmt(s *syntax.Stmt, loop bool) {
	c := &call{at: p.at(s.Pos()), end: p.at(s.End()), repeats: loop}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		c.assigns = p.assigns(cmd.Assigns)
		for _, w := range cmd.Args {
			c.words = append(c.words, p.word(w))
		}
		c.at, c.end = p.at(cmd.Pos()), p.at(cmd.End())
	case *syntax.DeclClause:
		c.words = []word{{value: cmd.Variant.Value}}
		c.assigns = p.assigns(cmd.Args)
	default:
		return
	}
	if len(c.words) == 0 {
		c.words = []word{{value: ":", at: c.at, end: c.at}}
	}
	p.calls = append(p.calls, c)
	if call, ok := s.Cmd.(*syntax.CallExpr); ok {
		p.inner(c, call, s.Redirs)
	}
}

// inner reads what a shell is given as -c '…', or as a heredoc on its standard input.
func (p *callReader) inner(c *call, cmd *syntax.CallExpr, redirs []*syntax.Redirect) {
	i := slices.IndexFunc(c.words, func(w word) bool { return shellName().MatchString(w.base()) })
	if i < 0 || i > 0 && !slices.Contains(wrappers, c.words[0].base()) {
		return
	}
	if j := slices.IndexFunc(c.words[i:], func(w word) bool { return minusC().MatchString(w.value) }); j > 0 {
		if i+j+1 < len(cmd.Args) {
			p.quoted(cmd.Args[i+j+1])
		}
		return
	}
	if slices.ContainsFunc(c.words[i+1:], func(w word) bool { return !strings.HasPrefix(w.value, "-") }) {
		return // a script of that name
	}
	for _, r := range redirs {
		if r.Hdoc != nil {
			p.within(r.Hdoc.Pos(), r.Hdoc.End())
		}
	}
}

// quoted reads a word that is one string in quotes as shell text. Escapes in it stay as they are: they change no word
// that matters here.
func (p *callReader) quoted(w *syntax.Word) {
	if len(w.Parts) != 1 {
		return
	}
	from, to := int(w.Pos().Offset())+1, int(w.End().Offset())-1
	switch q := w.Parts[0].(type) {
	case *syntax.SglQuoted:
		if q.Dollar {
			return
		}
	case *syntax.DblQuoted:
		if q.Dollar {
			return
		}
	default:
		return
	}
	p.calls = append(p.calls, parseCalls(p.text[from:to], p.offset+from, p.depth-1)...)
}

func (p *callReader) within(from, to syntax.Pos) {
	if a, b := int(from.Offset()), int(to.Offset()); a < b && b <= len(p.text) {
		p.calls = append(p.calls, parseCalls(p.text[a:b], p.offset+a, p.depth-1)...)
	}
}

func (p *callReader) at(pos syntax.Pos) int { return p.offset + int(pos.Offset()) }

func (p *callReader) word(w *syntax.Word) word {
	return word{literal(w.Parts), p.at(w.Pos()), p.at(w.End())}
}

func (p *callReader) assigns(list []*syntax.Assign) (all []word) {
	for _, a := range list {
		if a.Name == nil || a.Value == nil || a.Append || a.Index != nil {
			continue
		}
		all = append(all, word{a.Name.Value + "=" + literal(a.Value.Parts), p.at(a.Pos()), p.at(a.End())})
	}
	return all
}

// literal is the text of a word without its quotes.
func literal(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch x := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(x.Value))
		case *syntax.SglQuoted:
			b.WriteString(x.Value)
		case *syntax.DblQuoted:
			b.WriteString(literal(x.Parts))
		default:
			b.WriteString(unknown)
		}
	}
	return b.String()
}

func unescape(s string) string {
	s = strings.ReplaceAll(s, "\\\n", "")
	return strings.ReplaceAll(s, `\`, "")
}
