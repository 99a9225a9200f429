// This file owns compose's .env format: its statements, their comments and quotes. What a value means is in variables.go.

package envfile

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gbuild/gbuild/internal/hint"
)

// ParseDotenv reads data as compose reads a .env file: comments, `export`, quotes over several lines, escapes in
// double quotes, and ${VAR:-default} in all values but those in single quotes. A variable stands for lookup's, else for an
// earlier one of the file. lookup may be nil. The result keeps the order of the file; a later line wins.
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

// statement reads one KEY=VALUE, or a KEY alone, which takes its value from outside. Compose takes the YAML form KEY: value as well.
func (p *statements) statement() error {
	if after, ok := strings.CutPrefix(p.rest, "export"); ok && strings.TrimLeft(after, space) != after {
		p.take(len("export"))
		p.skipSpace()
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !isEnvName(r) && !strings.ContainsRune(space, r) })
	if end < 0 {
		end = len(p.rest)
	}
	key := strings.TrimRightFunc(p.rest[:end], unicode.IsSpace)
	switch {
	case key == "":
		return p.fail("a variable name must come here", "values over several lines need quotes")
	case strings.ContainsAny(key, space), end < len(p.rest) && !strings.ContainsRune("=:\n", rune(p.rest[end])):
		return p.fail("unexpected text after the variable name "+key[:nameEnd(key)], "write KEY=value")
	}
	p.take(end)
	if p.rest == "" || p.rest[0] == '\n' {
		if v, ok := p.outer(key); ok {
			p.set(key, v)
		}
		return nil
	}
	p.take(1)
	p.skipSpace()
	return p.value(key)
}

// nameEnd is the length of the first word of a key: what follows may be a piece of a secret.
func nameEnd(key string) int {
	if i := strings.IndexAny(key, space); i >= 0 {
		return i
	}
	return len(key)
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

// text takes what a value is written as. In single quotes it is literal. Without quotes it ends before a # that a space is before,
// so that a value may begin with one.
func (p *statements) text() (text string, literal bool, err error) {
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		quote := p.rest[0]
		if text, err = p.quoted(quote); quote == '\'' {
			return text, true, err
		}
		return unescape(text), false, err
	}
	text, _, _ = strings.Cut(p.take(p.lineEnd()), " #")
	return strings.TrimRightFunc(text, unicode.IsSpace), false, nil
}

// quoted takes the text up to the closing quote, which may be lines away. A backslash before a quote of the same kind goes.
func (p *statements) quoted(quote byte) (string, error) {
	var text strings.Builder
	end := 1
	for ; end < len(p.rest) && p.rest[end] != quote; end++ {
		if p.rest[end] == '\\' && end+1 < len(p.rest) {
			if end++; p.rest[end] != quote {
				text.WriteByte('\\')
			}
		}
		text.WriteByte(p.rest[end])
	}
	if end >= len(p.rest) {
		return "", p.fail("the quote that begins this value has no end", "")
	}
	p.take(end + 1)
	// Another KEY=VALUE may follow on the line, as in compose. A word alone would be a variable of the caller's there.
	after := strings.TrimSpace(p.rest[:p.lineEnd()])
	if after != "" && after[0] != '#' && !strings.ContainsAny(after, "=:") {
		return "", p.fail("text after the closing quote", "put the whole value in quotes, and \\ before quotes inside it")
	}
	return text.String(), nil
}

// lookup prefers what the caller has, as compose does.
func (p *statements) lookup(key string) (string, bool) {
	if v, ok := p.outer(key); ok {
		return v, true
	}
	v, ok := p.values[key]
	return v, ok
}
