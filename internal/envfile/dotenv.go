// This file owns compose's .env format. What a value means (quotes, escapes, ${VAR:-default}) is said by compose's own
// library, which gets one statement after another. It gives a map, errors that show values, and no line of an error;
// so what is found here, before it is asked, are the statements: their order, their lines, and where a comment begins.
// Comments after a tab, and those that begin the value, are left out as well; compose's library takes them for a value.

package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
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
	line   int    // where rest begins
	order  []string
	values map[string]string
	outer  func(string) (string, bool)
}

func (p *statements) fail(problem, remedy string) error {
	return &Error{p.file, p.line, problem, remedy}
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
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		text, err := p.quoted(p.rest[0])
		if err != nil {
			return err
		}
		return p.ask(key, text, line)
	}
	text := p.take(p.lineEnd())
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	// Outside of quotes the library knows $$ only. A dollar before an escaped one is one, too.
	return p.ask(key, strings.NewReplacer("$$", "$$", `$\$`, "$$$$", `\$`, "$$").Replace(text), line)
}

// quoted finds the closing quote, which may be lines away. After it only a comment may stand on its line.
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
	return text, nil
}

// maxNesting bounds ${A:-${B:-…}}.
const maxNesting = 32

// ask has compose's library read one value, and says what is wrong with it without a word of it. The library logs
// variables that are not set, by the logger that runtime.Init has silenced.
func (p *statements) ask(key, text string, line int) error {
	deepest, closed := braces(text)
	switch {
	case text != "" && text[0] == '\'': // nothing is replaced in it
	case deepest > maxNesting:
		return &Error{p.file, line, "variables nested too deeply", ""}
	case !closed:
		return &Error{p.file, line, "${ has no closing brace", `write \$ or $$ for a dollar sign, or use single quotes`}
	}
	found := map[string]string{}
	err := dotenv.ParseWithFormat(strings.NewReader(key+"="+text+"\n"), p.file, found, p.lookup, dotenv.DotEnv)
	if err == nil {
		p.set(key, found[key])
		return nil
	}
	if unset, ok := errors.AsType[*template.MissingRequiredError](err); ok {
		return &Error{p.file, line, fmt.Sprintf("required variable %s is missing a value: %s", unset.Variable, unset.Reason), ""}
	}
	return &Error{p.file, line, "invalid ${…} expression", "known are ${A}, ${A:-default}, ${A:+other} and ${A:?message}, each also without the colon"}
}

// lookup prefers what the file has said, unlike compose's library.
func (p *statements) lookup(key string) (string, bool) {
	if v, ok := p.values[key]; ok {
		return v, true
	}
	return p.outer(key)
}

// braces says how deeply ${…} are nested in a value, and whether each is closed.
func braces(text string) (deepest int, closed bool) {
	literal := strings.NewReplacer("$$", "")
	if strings.HasPrefix(text, `"`) {
		literal = strings.NewReplacer(`\\`, "", `\$`, "", "$$", "")
	}
	text = literal.Replace(text)
	depth := 0
	for i := range len(text) {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
			deepest = max(deepest, depth)
		case text[i] == '}' && depth > 0:
			depth--
		}
	}
	return deepest, depth == 0
}
