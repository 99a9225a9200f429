// This file owns how the words of a command are read: quotes, and what the shell puts in for a variable or for
// $(which pip).

package shell

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/gbuild/gbuild/pkg/installer"
)

// maxValue is how long the value of a variable may be that is put in, and maxFields how many words it may have: values
// that double each other would fill the memory.
const (
	maxValue  = 1 << 10
	maxFields = 64
)

// expander reads words in a scope. Their places count from an offset, for a text that is a part of a longer one.
type expander struct {
	scope  *scope
	offset int
}

func (e expander) at(pos syntax.Pos) int { return e.offset + int(pos.Offset()) }

// words reads the words of a call. A variable without quotes may stand for several, or for none.
func (e expander) words(args []*syntax.Word) (all []Word) {
	for _, w := range args {
		at := Word{At: e.at(w.Pos()), End: e.at(w.End()), syntax: w}
		if value, ok := e.plainVariable(w); ok && value != installer.Unknown && strings.Count(value, " ") < maxFields {
			for _, field := range strings.Fields(value) {
				all = append(all, Word{Value: field, At: at.At, End: at.End, Part: true})
			}
			continue
		}
		at.Value = e.literal(w.Parts)
		if at.Value == installer.Unknown {
			at.variable = variableOf(w.Parts)
		}
		all = append(all, at)
	}
	return all
}

// plainVariable returns the value of a word that is one variable without quotes.
func (e expander) plainVariable(w *syntax.Word) (string, bool) {
	if len(w.Parts) != 1 {
		return "", false
	}
	x, ok := w.Parts[0].(*syntax.ParamExp)
	if !ok {
		return "", false
	}
	return e.variable(x), true
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

// assigns reads NAME=VALUE before a command. What adds to a variable, or sets an element of a list, is left out.
func (e expander) assigns(list []*syntax.Assign) (all []Word) {
	for _, a := range list {
		if a.Name == nil || a.Value == nil || a.Append || a.Index != nil {
			continue
		}
		all = append(all, Word{Value: a.Name.Value + "=" + e.literal(a.Value.Parts), At: e.at(a.Pos()), End: e.at(a.End())})
	}
	return all
}

// literal is the text of a word without its quotes.
func (e expander) literal(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		if b.Len() > maxText {
			return installer.Unknown
		}
		switch x := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(x.Value))
		case *syntax.SglQuoted:
			b.WriteString(x.Value)
		case *syntax.DblQuoted:
			b.WriteString(e.literal(x.Parts))
		case *syntax.ParamExp:
			b.WriteString(e.variable(x))
		case *syntax.CmdSubst:
			b.WriteString(e.which(x))
		default:
			b.WriteString(installer.Unknown)
		}
	}
	return b.String()
}

// unescape takes backslashes and continued lines out of a text.
func unescape(s string) string {
	s = strings.ReplaceAll(s, "\\\n", "")
	return strings.ReplaceAll(s, `\`, "")
}

// variable is the value of an expansion: what the text has set, what the environment has, or what stands after :-.
func (e expander) variable(x *syntax.ParamExp) string {
	defaults := x.Exp != nil && (x.Exp.Op == syntax.DefaultUnset || x.Exp.Op == syntax.DefaultUnsetOrNull)
	if x.Excl || x.Length || x.Width || x.Index != nil || x.Slice != nil || x.Repl != nil || x.Names != 0 || x.Exp != nil && !defaults {
		return installer.Unknown
	}
	value, ok := e.scope.lookup(x.Param.Value)
	switch {
	case len(value) > maxValue:
		return installer.Unknown
	case ok && (value != "" || !defaults):
		return value
	case defaults && x.Exp.Word == nil:
		return ""
	case defaults:
		return e.literal(x.Exp.Word.Parts)
	}
	return installer.Unknown
}

// which is the name of the program that $(which NAME) finds, or command -v, or type -p.
func (e expander) which(s *syntax.CmdSubst) string {
	if len(s.Stmts) != 1 {
		return installer.Unknown
	}
	cmd, ok := s.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(cmd.Args) < 2 {
		return installer.Unknown
	}
	words := e.words(cmd.Args)
	names := slices.DeleteFunc(slices.Clone(words), func(w Word) bool {
		return isOption(w) || slices.Contains([]string{"which", "command", "type", "pyenv", "whereis"}, w.Value)
	})
	finds := strings.Contains("which whereis", words[0].Base()) || len(words) > 2 && slices.Contains([]string{"-v", "-p", "-P", "which"}, words[1].Value)
	if !finds || len(names) != 1 {
		return installer.Unknown
	}
	return names[0].Value
}
