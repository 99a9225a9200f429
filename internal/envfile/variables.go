// This file owns what a value of a .env file means: the escapes in double quotes, and ${VAR:-default}. It is compose's
// language, and a test holds it against compose's own reader. That one compiles its regular expressions whenever a program
// starts that is linked with it, and shows values in its errors.

package envfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
)

// keptDollar stands for a dollar that was escaped, until the variables are replaced. It is no UTF-8 text.
const keptDollar = "\xff"

// unescape replaces the escapes of double quotes. \$ becomes a dollar that begins no variable. An octal number has a 0 before its three
// digits; with fewer of them compose keeps the backslash and loses the 0, and so is it here.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch j := strings.IndexByte(`abfnrtv"\`, text[i]); {
		case j >= 0:
			b.WriteByte("\a\b\f\n\r\t\v\"\\"[j])
		case text[i] == '$':
			b.WriteString(keptDollar)
		case text[i] == '0':
			digits := text[i+1:][:digitsOf(text[i+1:])]
			i += len(digits)
			if n, err := strconv.ParseUint(digits, 8, 8); err == nil && len(digits) == 3 {
				b.WriteRune(rune(n))
			} else {
				b.WriteString(`\` + digits)
			}
		default:
			b.WriteByte('\\')
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// digitsOf counts the digits that a text begins with, up to three.
func digitsOf(text string) int {
	n := 0
	for n < len(text) && n < 3 && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// variables gives the value of a variable, and whether it is set.
type variables func(name string) (string, bool)

// maxNesting bounds ${A:-${B:-…}}.
const maxNesting = 32

// replace puts values in the place of variables.
func (v variables) replace(text string) (string, error) {
	text, err := v.expand(text, 0)
	return strings.ReplaceAll(text, keptDollar, "$"), err
}

func (v variables) expand(text string, depth int) (string, error) {
	if depth > maxNesting {
		return "", errors.New("variables nested too deeply")
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		value, rest, err := v.variable(after, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = rest
	}
}

// variable reads one variable behind its dollar, and returns its value and what follows it.
func (v variables) variable(text string, depth int) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(text, "$"):
		return keptDollar, text[1:], nil
	case strings.HasPrefix(text, "{"):
		end := closingBrace(text)
		if end < 0 {
			return "", "", hint.Errorf(`write \$ or $$ for a dollar sign, or use single quotes`, "${ has no closing brace")
		}
		value, err = v.braced(text[1:end], depth)
		return value, text[end+1:], err
	}
	n := nameLength(text)
	if n == 0 {
		return keptDollar, text, nil
	}
	value, _ = v(text[:n])
	return value, text[n:], nil
}

// closingBrace finds the brace that closes the one with which the text begins, or -1.
func closingBrace(text string) int {
	depth := 0
	for i, r := range text {
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

// nameLength is the length of the name of a variable with which the text begins.
func nameLength(text string) int {
	n := 0
	for n < len(text) && (text[n] == '_' || text[n]|0x20 >= 'a' && text[n]|0x20 <= 'z' || n > 0 && text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return n
}

// braced replaces the inside of ${…}: a name, and one of - + ? with or without a colon, which counts empty as unset.
func (v variables) braced(text string, depth int) (string, error) {
	n := nameLength(text)
	name, op := text[:n], text[n:]
	value, set := v(name)
	if after, ok := strings.CutPrefix(op, ":"); ok {
		op, set = after, set && value != ""
		if op == "" {
			name = ""
		}
	}
	if name == "" || op != "" && !strings.ContainsRune("-+?", rune(op[0])) {
		return "", hint.Errorf("known are ${A}, ${A:-default}, ${A:+other} and ${A:?message}, each also without the colon", "invalid ${…} expression")
	}
	switch {
	case op == "":
		return value, nil
	case op[0] == '-' && !set, op[0] == '+' && set:
		return v.expand(op[1:], depth+1)
	case op[0] == '+':
		return "", nil
	case op[0] == '?' && !set:
		return "", fmt.Errorf("required variable %s is missing a value: %s", name, op[1:])
	}
	return value, nil
}
