// This file owns compose's .env format: its statements, their comments and quotes. What a value means is in variables.go.

package envfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gbuild/gbuild/internal/hint"
)

// ParseDotenv reads data as compose reads a .env file: comments, `export`, quotes over several lines, escapes in
// double quotes, and ${VAR:-default} in all values but those in single quotes. A variable stands for an earlier one
// of the file, else for lookup's. lookup may be nil. The result keeps the order of the file; a later line wins.
func ParseDotenv(name string, data []byte, lookup func(string) (string, bool)) ([]string, error) {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	p := &statements{file: name, rest: string(bytes.TrimPrefix(data, utf8BOM)), line: 1, values: map[string]string{}, outer: lookup}
	for i, line := range strings.Split(p.rest, "\n") {
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return nil, &Error{name, i + 1, "not text in UTF-8", "save the file as UTF-8"}
		}
	}
	p.rest = strings.ReplaceAll(p.rest, "\r\n", "\n")
	for p.skip() {
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
	out := make([]string, len(p.order))
	for i, k := range p.order {
		out[i] = k + "=" + p.values[k]
	}
	return out, nil
}

// statements goes through a file, one KEY=VALUE after another.
type statements struct {
	file   string
	rest   string // what is not read yet
	line   int    // the line in which rest begins
	order  []string
	values map[string]string
	outer  func(string) (string, bool)
}

func (p *statements) fail(problem, remedy string) error {
	return p.failAt(p.line, hint.Errorf(remedy, "%s", problem))
}

func (p *statements) failAt(line int, err error) error {
	return &Error{p.file, line, err.Error(), hint.Of(err)}
}

// take removes n bytes from the rest and counts their lines.
func (p *statements) take(n int) string {
	s := p.rest[:n]
	p.rest = p.rest[n:]
	p.line += strings.Count(s, "\n")
	return s
}

// skip passes over space, empty lines and comments, and says whether something is left.
func (p *statements) skip() bool {
	for {
		p.take(len(p.rest) - len(strings.TrimLeftFunc(p.rest, unicode.IsSpace)))
		if !strings.HasPrefix(p.rest, "#") {
			return p.rest != ""
		}
		p.take(p.lineEnd())
	}
}

// space is what compose takes for space within a line.
const space = " \t\v\f\r\u0085\u00a0"

func (p *statements) skipSpace() { p.take(len(p.rest) - len(strings.TrimLeft(p.rest, space))) }

func (p *statements) lineEnd() int {
	if i := strings.IndexByte(p.rest, '\n'); i >= 0 {
		return i
	}
	return len(p.rest)
}

func (p *statements) set(key, value string) {
	if _, ok := p.values[key]; !ok {
		p.order = append(p.order, key)
	}
	p.values[key] = value
}

// statement reads one KEY=VALUE, or a KEY alone, which takes its value from outside.
func (p *statements) statement() error {
	if after, ok := strings.CutPrefix(p.rest, "export"); ok && strings.TrimLeft(after, space) != after {
		p.take(len("export"))
		p.skipSpace()
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !isEnvName(r) })
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return p.fail("a variable name must come here", "values over several lines need quotes")
	}
	key := p.take(end)
	p.skipSpace()
	if p.rest == "" || p.rest[0] == '\n' || p.rest[0] == '#' {
		if v, ok := p.outer(key); ok {
			p.set(key, v)
		}
		p.take(p.lineEnd())
		return nil
	}
	// Compose takes the YAML form KEY: value as well.
	if p.rest[0] != '=' && p.rest[0] != ':' {
		return p.fail(fmt.Sprintf("unexpected character after the variable name %s", key), "write KEY=value")
	}
	p.take(1)
	p.skipSpace()
	return p.value(key)
}

func isEnvName(r rune) bool {
	return strings.ContainsRune("_.-[]", r) || unicode.IsLetter(r) || unicode.IsNumber(r)
}

// value reads the value of a key. An error in it is one of the line in which it begins.
func (p *statements) value(key string) error {
	line := p.line
	text, literal, err := p.text()
	if err != nil {
		return err
	}
	if !literal {
		if text, err = variables(p.lookup).replace(text); err != nil {
			return p.failAt(line, err)
		}
	}
	p.set(key, text)
	return nil
}

// text takes what a value is written as. In single quotes it is literal; else escaped dollars are marked.
func (p *statements) text() (text string, literal bool, err error) {
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		quote := p.rest[0]
		if text, err = p.quoted(quote); quote == '\'' {
			return strings.ReplaceAll(text, `\'`, `'`), true, err
		}
		return unescape(text), false, err
	}
	text = p.take(p.lineEnd())
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	return strings.ReplaceAll(strings.TrimRightFunc(text, unicode.IsSpace), `\$`, keptDollar), false, nil
}

// quoted takes the text up to the closing quote, which may be lines away. After it only a comment may stand on its line.
func (p *statements) quoted(quote byte) (string, error) {
	end := 1
	for ; end < len(p.rest) && p.rest[end] != quote; end++ {
		if p.rest[end] == '\\' && end+1 < len(p.rest) {
			end++
		}
	}
	if end >= len(p.rest) {
		return "", p.fail("the quote that begins this value has no end", "")
	}
	text := p.take(end + 1)
	after := strings.TrimSpace(p.rest[:p.lineEnd()])
	if after != "" && after[0] != '#' {
		return "", p.fail("text after the closing quote", "put the whole value in quotes, and \\ before quotes inside it")
	}
	p.take(p.lineEnd())
	return text[1:end], nil
}

// lookup prefers what the file has said.
func (p *statements) lookup(key string) (string, bool) {
	if v, ok := p.values[key]; ok {
		return v, true
	}
	return p.outer(key)
}
