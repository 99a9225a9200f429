// This file owns how a command that starts another one is taken apart: what it keeps for itself, and the other command.

package shell

import (
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// wrapper describes a command that starts another one: it says where among the words the other one begins.
type wrapper struct {
	installer.Runner          // the place of the command: after a sub-command, if it needs one
	own              int      // words of its own before the command
	assigns          bool     // NAME=VALUE may stand before the command
	after            []string // the command stands after one of these: find -exec
	text             []string // options whose value is shell text: su -c
	search           bool     // the command is where a known program is named
	loops            bool     // it may run the command several times
	whole            bool     // barrier looks at all words, not only at those before the command
	only             func(opts []Word) bool
	barrier          func(opts []Word, user string) Barrier
}

// strip takes the wrapper off: opts is what it keeps for itself, rest the command.
func (w *wrapper) strip(words []Word) (opts, rest []Word) {
	i := 1
	if w.Sub != nil {
		if i = w.begins(words); i == 0 {
			return nil, nil
		}
	}
	if w.after != nil {
		at := slices.IndexFunc(words, func(x Word) bool { return slices.Contains(w.after, x.Value) })
		if at < 0 {
			return words, nil
		}
		return words, words[at+1:]
	}
	for own := w.own; i < len(words); i++ {
		switch value := words[i].Value; {
		case value == "--":
			if own == 0 {
				return words[1:i], words[i+1:]
			}
		case isOption(words[i]):
			if slices.Contains(w.Valued, value) {
				i++
			}
		case w.assigns && IsAssignment(value):
		case own > 0:
			own--
		default:
			return words[1:i], words[i:]
		}
	}
	return words[1:], nil
}

// begins is the index after the sub-command that starts another command; 0 without it.
func (w *wrapper) begins(words []Word) int {
	for i := 1; i < len(words); i++ {
		switch value := words[i].Value; {
		case slices.Contains(w.Sub, value):
			return i + 1
		case slices.Contains(w.Valued, value):
			i++
		case !isOption(words[i]) && (w.Group == "" || value != w.Group):
			return 0
		}
	}
	return 0
}

// shellText is the word that the wrapper gives to a shell; nil without one.
func (w *wrapper) shellText(words []Word) *Word {
	i := slices.IndexFunc(words, func(x Word) bool { return slices.Contains(w.text, x.Value) })
	if i < 0 || i+1 >= len(words) {
		return nil
	}
	return &words[i+1]
}

// stands is the barrier that the wrapper is to the command, for a user of the RUN.
func (w *wrapper) stands(words, opts []Word, user string) Barrier {
	if w.barrier == nil {
		return Barrier{}
	}
	if w.whole {
		return w.barrier(words, user)
	}
	return w.barrier(opts, user)
}

// inside is the command in the wrapper, in a form that all wrappers share.
func (w *wrapper) inside(name string, opts, rest []Word) []Word {
	switch {
	case w.search:
		i := slices.IndexFunc(rest, func(x Word) bool { return isKnown(x.Base()) })
		if i < 0 {
			return nil
		}
		return rest[i:]
	case name == "env":
		return splitString(opts, rest)
	case w.Prefixed && len(rest) > 0:
		if _, command, ok := strings.Cut(rest[0].Value, ":"); ok {
			rest = slices.Clone(rest)
			rest[0].Value, rest[0].Part = command, true
		}
	}
	return rest
}

// splitString is what env -S makes of a string: several words.
func splitString(opts, rest []Word) []Word {
	if !slices.ContainsFunc(opts, func(w Word) bool {
		return !strings.HasPrefix(w.Value, "--") && strings.HasSuffix(w.Value, "S") && w.Value[0] == '-'
	}) {
		return rest
	}
	if len(rest) == 0 {
		return nil
	}
	var split []Word
	for _, field := range strings.Fields(rest[0].Value) {
		w := rest[0]
		w.Value, w.Part = field, w.Part || field != rest[0].Value
		split = append(split, w)
	}
	for len(split) > 0 && IsAssignment(split[0].Value) {
		split = split[1:]
	}
	return append(split, rest[1:]...)
}
