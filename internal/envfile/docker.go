// Package envfile reads the files by which a command line hands variables to a container, in two formats: docker's
// --env-file, whose values stand as they are, and the .env files of compose, with quotes, comments and ${VAR}.
//
// Such files hold secrets. So no error and no warning shows a value. This file owns docker's format, and what both formats say
// of a line that is wrong.
package envfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Warning is a line of an env file that is read as Docker reads it but hardly means what it says. It never holds a
// value: those are often secrets.
type Warning struct {
	File string
	Line int // 1 is the first
	Key  string
	Text string
}

// String gives FILE:LINE: KEY: text.
func (w Warning) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", w.File, w.Line, w.Key, w.Text)
}

// Error is a line of an env file that cannot be read. It never holds a value.
type Error struct {
	File    string
	Line    int // 1 is the first
	Problem string
	Remedy  string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem) }

// Hint gives the remedy, or "".
func (e *Error) Hint() string { return e.Remedy }

var utf8BOM = []byte("\xef\xbb\xbf")

// ParseDocker reads data as `docker run --env-file` does: a line is KEY=VALUE with the value taken as it stands,
// quotes and spaces included, or KEY, which takes its value from lookup and is left out where that has none. Lines that
// are empty or begin with # are skipped. lookup may be nil. Warnings name values that a shell or compose would
// read differently.
func ParseDocker(name string, data []byte, lookup func(string) (string, bool)) ([]string, []Warning, error) {
	var out []string
	var warnings []Warning
	for i, line := range bytes.Split(bytes.TrimPrefix(data, utf8BOM), []byte("\n")) {
		fail := func(problem, remedy string) ([]string, []Warning, error) {
			return nil, nil, &Error{name, i + 1, problem, remedy}
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !utf8.Valid(line) {
			return fail("invalid utf8 bytes", "save the file as UTF-8")
		}
		// Space after a value is part of it.
		text := strings.TrimLeftFunc(string(line), unicode.IsSpace)
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		switch {
		case key == "":
			return fail("no variable name before the =", "")
		case strings.ContainsAny(key, " \t"):
			return fail(fmt.Sprintf("variable '%s' contains whitespaces", nameOnly(key)), "--dotenv reads `export KEY=…` and spaces around =, as compose does")
		case strings.ContainsRune(text, 0):
			return fail("a NUL byte", "")
		case !ok && lookup != nil:
			value, ok = lookup(key)
		case ok:
			if w := odd(value); w != "" {
				warnings = append(warnings, Warning{name, i + 1, key, w})
			}
		}
		if ok {
			out = append(out, key+"="+value)
		}
	}
	return out, warnings, nil
}

// nameOnly shortens what stands before the = to its first word or two: a line without = may be a piece of a secret.
func nameOnly(key string) string {
	f := strings.Fields(key)
	if f[0] == "export" && len(f) == 2 {
		return key
	}
	return f[0] + " …"
}

// odd says what in a value compose and shells would take away, or "".
func odd(value string) string {
	trimmed := strings.TrimRight(value, " \t")
	if n := len(trimmed); n >= 2 && (trimmed[0] == '"' || trimmed[0] == '\'') && trimmed[n-1] == trimmed[0] {
		return "the quotes are part of the value; --dotenv reads them as compose does"
	}
	if strings.Contains(value, " #") || strings.Contains(value, "\t#") {
		return "what follows the # is part of the value; --dotenv reads it as a comment, as compose does"
	}
	return ""
}
