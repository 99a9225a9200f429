package dockerfile

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// This file reads the words of a shell command: quotes, and what the shell puts in for a variable or for $(which pip).

// unknown stands in the value of a word for what only the shell knows.
const unknown = "\x00"

// maxValue is how long the value of a variable may be that is put in, and maxFields how many words it may have: values
// that double each other would fill the memory.
const (
	maxValue  = 1 << 10
	maxFields = 64
)

// words reads the words of a call. A variable without quotes may stand for several, or for none.
func (p *callReader) words(args []*syntax.Word) (all []word) {
	for _, w := range args {
		at := word{at: p.at(w.Pos()), end: p.at(w.End()), syntax: w}
		if value, ok := p.plainVariable(w); ok && value != unknown && strings.Count(value, " ") < maxFields {
			for _, field := range strings.Fields(value) {
				all = append(all, word{value: field, at: at.at, end: at.end, part: true})
			}
			continue
		}
		at.value = p.literal(w.Parts)
		if at.value == unknown {
			at.variable = variableOf(w.Parts)
		}
		all = append(all, at)
	}
	return all
}

// plainVariable returns the value of a word that is one variable without quotes.
func (p *callReader) plainVariable(w *syntax.Word) (string, bool) {
	if len(w.Parts) != 1 {
		return "", false
	}
	e, ok := w.Parts[0].(*syntax.ParamExp)
	if !ok {
		return "", false
	}
	return p.variable(e), true
}

// variableOf is the name of the variable that the parts of a word are, in quotes or not.
func variableOf(parts []syntax.WordPart) string {
	if len(parts) != 1 {
		return ""
	}
	switch x := parts[0].(type) {
	case *syntax.ParamExp:
		return x.Param.Value
	case *syntax.DblQuoted:
		return variableOf(x.Parts)
	}
	return ""
}

func (p *callReader) assigns(list []*syntax.Assign) (all []word) {
	for _, a := range list {
		if a.Name == nil || a.Value == nil || a.Append || a.Index != nil {
			continue
		}
		all = append(all, word{value: a.Name.Value + "=" + p.literal(a.Value.Parts), at: p.at(a.Pos()), end: p.at(a.End())})
	}
	return all
}

// literal is the text of a word without its quotes.
func (p *callReader) literal(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		if b.Len() > maxShellText {
			return unknown
		}
		switch x := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(x.Value))
		case *syntax.SglQuoted:
			b.WriteString(x.Value)
		case *syntax.DblQuoted:
			b.WriteString(p.literal(x.Parts))
		case *syntax.ParamExp:
			b.WriteString(p.variable(x))
		case *syntax.CmdSubst:
			b.WriteString(p.which(x))
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

// variable is the value of an expansion: what the text has set, what the RUN's environment has, or what stands after :-.
func (p *callReader) variable(e *syntax.ParamExp) string {
	defaults := e.Exp != nil && (e.Exp.Op == syntax.DefaultUnset || e.Exp.Op == syntax.DefaultUnsetOrNull)
	if e.Excl || e.Length || e.Width || e.Index != nil || e.Slice != nil || e.Repl != nil || e.Names != 0 || e.Exp != nil && !defaults {
		return unknown
	}
	value, ok := p.scope.values[e.Param.Value]
	if !ok {
		value, ok = p.scope.run.lookup(e.Param.Value)
	}
	switch {
	case len(value) > maxValue:
		return unknown
	case ok && (value != "" || !defaults):
		return value
	case defaults && e.Exp.Word == nil:
		return ""
	case defaults:
		return p.literal(e.Exp.Word.Parts)
	}
	return unknown
}

// which is the name of the program that $(which NAME) finds, or command -v, or type -p.
func (p *callReader) which(s *syntax.CmdSubst) string {
	if len(s.Stmts) != 1 {
		return unknown
	}
	cmd, ok := s.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(cmd.Args) < 2 {
		return unknown
	}
	words := p.words(cmd.Args)
	names := slices.DeleteFunc(slices.Clone(words), func(w word) bool {
		return strings.HasPrefix(w.value, "-") || slices.Contains([]string{"which", "command", "type", "pyenv", "whereis"}, w.value)
	})
	finds := strings.Contains("which whereis", words[0].base()) || len(words) > 2 && slices.Contains([]string{"-v", "-p", "-P", "which"}, words[1].value)
	if !finds || len(names) != 1 {
		return unknown
	}
	return names[0].value
}
