// This file owns words and the questions about options among them; it knows nothing of calls.

package shell

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/gbuild/gbuild/pkg/installer"
)

// Word is one word of a Call.
type Word struct {
	Value   string // the text without quotes; installer.Unknown stands for what only the shell knows
	At, End int    // its place in the text; of a RUN without a shell, its index twice
	Part    bool   // its text is that of a variable or of another language: it cannot be changed for itself

	variable string // the variable that the word is, if only the shell knows its value
	syntax   *syntax.Word
}

// Base is the last element of a word that is a path.
func (w Word) Base() string { return path.Base(w.Value) }

// IsAssignment says whether a word is NAME=VALUE.
func IsAssignment(s string) bool {
	name, _, ok := strings.Cut(s, "=")
	return ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" && (name[0] < '0' || name[0] > '9')
}

// values are the words as texts.
func values(words []Word) []string {
	all := make([]string, 0, len(words))
	for _, w := range words {
		all = append(all, w.Value)
	}
	return all
}

func isOption(w Word) bool { return strings.HasPrefix(w.Value, "-") }

// hasOption says whether an option is given, a long one with a value or without.
func hasOption(opts []Word, name string) bool {
	return slices.ContainsFunc(opts, func(w Word) bool {
		return w.Value == name || strings.HasPrefix(name, "--") && strings.HasPrefix(w.Value, name+"=")
	})
}

// optionValue is the value of an option that may be written in four ways.
func optionValue(words []Word, short, long string) (string, bool) {
	for i, w := range words {
		switch {
		case (w.Value == short || w.Value == long) && i+1 < len(words):
			return words[i+1].Value, true
		case strings.HasPrefix(w.Value, long+"="):
			return w.Value[len(long)+1:], true
		case len(w.Value) > 2 && strings.HasPrefix(w.Value, short) && !strings.HasPrefix(w.Value, "--"):
			return w.Value[2:], true
		}
	}
	return "", false
}

// shown is a command as messages name it.
func shown(w Word) string {
	if strings.Contains(w.Value, installer.Unknown) {
		return "a command that only the shell knows"
	}
	return w.Base()
}
