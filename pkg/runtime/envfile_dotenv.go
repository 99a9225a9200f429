package runtime

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseDotenv reads data as compose reads a .env file: comments, `export`, quotes over several lines, escapes in
// double quotes, and ${VAR:-default} in all values but those in single quotes. A variable stands for an earlier one
// of the file, else for lookup's. lookup may be nil. The result keeps the order of the file; a later line wins.
func ParseDotenv(name string, data []byte, lookup func(string) (string, bool)) ([]string, error) {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	p := &dotenv{file: name, rest: string(bytes.TrimPrefix(data, utf8BOM)), line: 1, values: map[string]string{}, outer: lookup}
	if !utf8.ValidString(p.rest) || strings.ContainsRune(p.rest, 0) {
		return nil, &EnvFileError{name, 1 + bytes.Count(data[:badByte(data)], []byte("\n")), "not text in UTF-8", "save the file as UTF-8"}
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

func badByte(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || r == 0 {
			return i
		}
		i += n
	}
	return len(data)
}

type dotenv struct {
	file   string
	rest   string
	line   int
	order  []string
	values map[string]string
	outer  func(string) (string, bool)
}

func (p *dotenv) fail(problem, remedy string) error {
	return &EnvFileError{p.file, p.line, problem, remedy}
}

// take removes n bytes from the rest and counts their lines.
func (p *dotenv) take(n int) string {
	s := p.rest[:n]
	p.rest = p.rest[n:]
	p.line += strings.Count(s, "\n")
	return s
}

// skip passes over space, empty lines and comments, and says whether something is left.
func (p *dotenv) skip() bool {
	for {
		p.take(len(p.rest) - len(strings.TrimLeftFunc(p.rest, unicode.IsSpace)))
		if !strings.HasPrefix(p.rest, "#") {
			return p.rest != ""
		}
		p.take(p.lineEnd())
	}
}

func (p *dotenv) lineEnd() int {
	if i := strings.IndexByte(p.rest, '\n'); i >= 0 {
		return i
	}
	return len(p.rest)
}

func (p *dotenv) set(key, value string) {
	if _, ok := p.values[key]; !ok {
		p.order = append(p.order, key)
	}
	p.values[key] = value
}

func (p *dotenv) statement() error {
	if after, ok := strings.CutPrefix(p.rest, "export"); ok && strings.TrimLeft(after, " \t") != after {
		p.take(len(p.rest) - len(strings.TrimLeft(after, " \t")))
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !isEnvName(r) })
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return p.fail("a variable name must come here", "values over several lines need quotes")
	}
	key := p.take(end)
	p.take(len(p.rest) - len(strings.TrimLeft(p.rest, " \t")))
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
	p.take(len(p.rest) - len(strings.TrimLeft(p.rest, " \t")))
	value, err := p.value()
	if err != nil {
		return err
	}
	p.set(key, value)
	return nil
}

func isEnvName(r rune) bool {
	return strings.ContainsRune("_.-[]", r) || unicode.IsLetter(r) || unicode.IsNumber(r)
}

func (p *dotenv) value() (string, error) {
	line := p.line
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		return p.quoted(p.rest[0])
	}
	v := p.take(p.lineEnd())
	if strings.HasPrefix(v, "#") {
		return "", nil
	}
	for i := 1; i < len(v); i++ {
		if v[i] == '#' && (v[i-1] == ' ' || v[i-1] == '\t') {
			v = v[:i]
			break
		}
	}
	return p.expand(strings.TrimRightFunc(v, unicode.IsSpace), line, 0)
}

// quoted reads to the closing quote, which may be lines away. After it only a comment may stand on its line.
func (p *dotenv) quoted(quote byte) (string, error) {
	line := p.line
	end := 1
	for ; end < len(p.rest) && p.rest[end] != quote; end++ {
		if p.rest[end] == '\\' && end+1 < len(p.rest) {
			end++
		}
	}
	if end >= len(p.rest) {
		return "", p.fail("the quote that begins this value has no end", "")
	}
	v := p.take(end + 1)
	v = v[1 : len(v)-1]
	after := strings.TrimSpace(p.rest[:p.lineEnd()])
	if after != "" && after[0] != '#' {
		return "", p.fail("text after the closing quote", "put the whole value in quotes, and \\ before quotes inside it")
	}
	p.take(p.lineEnd())
	if quote == '\'' {
		return strings.ReplaceAll(v, `\'`, `'`), nil
	}
	return p.expand(unescape(v), line, 0)
}

// keptDollar stands for a dollar that was escaped, until the variables are replaced. It is no UTF-8 text.
const keptDollar = "\xff"

// unescape replaces the escapes of double quotes. \$ becomes a dollar that begins no variable.
func unescape(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 == len(v) {
			b.WriteByte(v[i])
			continue
		}
		i++
		switch j := strings.IndexByte(`abfnrtv"\`, v[i]); {
		case j >= 0:
			b.WriteByte("\a\b\f\n\r\t\v\"\\"[j])
		case v[i] == '$':
			b.WriteString(keptDollar)
		default:
			b.WriteByte('\\')
			b.WriteByte(v[i])
		}
	}
	return b.String()
}

// maxNesting bounds ${A:-${B:-…}}.
const maxNesting = 32

// expand replaces variables. line is where the value begins.
func (p *dotenv) expand(v string, line, depth int) (string, error) {
	if depth > maxNesting {
		return "", &EnvFileError{p.file, line, "variables nested too deeply", ""}
	}
	v = strings.ReplaceAll(v, `\$`, keptDollar)
	var b strings.Builder
	for {
		i := strings.IndexByte(v, '$')
		if i < 0 || i+1 == len(v) {
			b.WriteString(v)
			break
		}
		b.WriteString(v[:i])
		s, n, err := p.variable(v[i:], line, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		v = v[i+n:]
	}
	if depth > 0 {
		return b.String(), nil
	}
	return strings.ReplaceAll(b.String(), keptDollar, "$"), nil
}

// variable replaces the variable at the beginning of v and says how long it is there.
func (p *dotenv) variable(v string, line, depth int) (string, int, error) {
	switch {
	case v[1] == '$':
		return keptDollar, 2, nil
	case v[1] == '{':
		end := closingBrace(v)
		if end < 0 {
			return "", 0, &EnvFileError{p.file, line, "${ has no closing brace", `write \$ or $$ for a dollar sign, or use single quotes`}
		}
		s, err := p.braced(v[2:end], line, depth)
		return s, end + 1, err
	}
	n := shellName(v[1:])
	if n == 0 {
		return "$", 1, nil
	}
	s, _ := p.lookup(v[1 : 1+n])
	return s, 1 + n, nil
}

func closingBrace(v string) int {
	depth := 0
	for i, r := range v {
		switch r {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// shellName gives the length of the variable name at the beginning of s.
func shellName(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

func (p *dotenv) lookup(key string) (string, bool) {
	if slices.Contains(p.order, key) {
		return p.values[key], true
	}
	return p.outer(key)
}

// braced replaces the inside of ${…}: a name, and one of - + ? with or without a colon, which counts empty as unset.
func (p *dotenv) braced(s string, line, depth int) (string, error) {
	n := shellName(s)
	key, op := s[:n], s[n:]
	value, set := p.lookup(key)
	if after, ok := strings.CutPrefix(op, ":"); ok {
		op, set = after, set && value != ""
	}
	if key == "" || op == "" && s != key || op != "" && !strings.ContainsRune("-+?", rune(op[0])) {
		return "", &EnvFileError{p.file, line, "invalid ${…} expression", "known are ${A}, ${A:-default}, ${A:+other} and ${A:?message}, each also without the colon"}
	}
	switch {
	case op == "":
		return value, nil
	case op[0] == '-' && !set, op[0] == '+' && set:
		return p.expand(op[1:], line, depth+1)
	case op[0] == '+':
		return "", nil
	case op[0] == '?' && !set:
		return "", &EnvFileError{p.file, line, fmt.Sprintf("required variable %s is missing a value: %s", key, op[1:]), ""}
	}
	return value, nil
}
