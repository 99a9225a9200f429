// This file owns what bounds the text that the variables of a Dockerfile make: a few lines that double a value make
// gigabytes.

package dockerfile

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// An honest Dockerfile stays far below all of these.
const (
	maxExpanded = 64 << 20 // bytes that variables, environments and history may take, of all stages together
	maxPattern  = 64 << 10 // bytes of a pattern and of what takes its place
	maxBraces   = 1000     // ${…} inside of each other
)

// expansion counts what the instructions of each stage, and those before the first, were expanded to.
type expansion struct {
	mu    sync.Mutex
	of    map[any]int
	total int
}

// add counts n bytes more of a stage.
func (e *expansion) add(stage any, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[any]int{}
	}
	e.of[stage] += n
	e.total += n
}

// restart forgets what was counted of a stage.
func (e *expansion) restart(stage any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total -= e.of[stage]
	delete(e.of, stage)
}

// allow says whether word may be expanded.
func (e *expansion) allow(word string, env shell.EnvGetter) error {
	if tooDeep(word) {
		return fmt.Errorf("more than %d variables are nested in each other", maxBraces)
	}
	n, err := atMost(word, env)
	if err != nil {
		return err
	}
	return e.room(n)
}

// room says whether there is room for n bytes more.
func (e *expansion) room(n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n > maxExpanded-e.total {
		return fmt.Errorf("the variables of the Dockerfile expand to more than %d MiB", maxExpanded>>20)
	}
	return nil
}

// expand expands a word of a stage, of nil before the first one. What would take too much memory is not begun.
func (e *expansion) expand(stage any, lex *shell.Lex, word string, env shell.EnvGetter) (shell.ProcessWordResult, error) {
	if word = asText(word); strings.Contains(word, "\x00") {
		return shell.ProcessWordResult{}, errors.New("the text has a NUL byte")
	}
	if strings.Contains(word, "$") {
		if err := e.allow(word, env); err != nil {
			return shell.ProcessWordResult{}, err
		}
	}
	out, err := lex.ProcessWordWithMatches(word, env)
	if err == nil && strings.Contains(word, "$") {
		e.add(stage, len(out.Result))
	}
	return out, err
}

// asText replaces each byte that is no text as BuildKit's words do, which also print a line for it on standard error.
func asText(word string) string {
	if utf8.ValidString(word) {
		return word
	}
	return string([]rune(word))
}

// atMost is how many bytes word can expand to. A variable gives its value once, what stands beside it in the braces no
// more than its own length; but ${name//pattern/text} can put the text around each byte of the value.
func atMost(word string, env shell.EnvGetter) (int, error) {
	total := 0
	for {
		before, after, found := strings.Cut(word, "$")
		total += len(before)
		if !found || total > maxExpanded {
			return total, nil
		}
		after, braced := strings.CutPrefix(after, "{")
		name, rest := variableName(after)
		value, _ := env.Get(name)
		total += len("${/}") + len(name) + len(value) // a variable that is not set may stay as it is written
		if word = rest; !braced || rest == "" || !strings.ContainsRune("#%/", rune(rest[0])) {
			continue
		}
		var pattern string
		pattern, word = untilBrace(rest[1:])
		n, err := atMost(pattern, env)
		if err == nil && n > maxPattern {
			err = fmt.Errorf("the pattern of a variable is longer than %d KiB", maxPattern>>10)
		}
		if err != nil {
			return 0, err
		}
		if strings.HasPrefix(rest, "//") {
			n *= len(value) + 1
		}
		total += n
	}
}

// variableName cuts the name of a variable from the front of s, as the shell words of a Dockerfile have it.
func variableName(s string) (name, rest string) {
	first, size := utf8.DecodeRuneInString(s)
	if strings.ContainsRune("@*#?-$!", first) {
		return s[:size], s[size:]
	}
	i := strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsDigit(r) && (unicode.IsDigit(first) || r != '_' && !unicode.IsLetter(r))
	})
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// untilBrace cuts s at the brace that ends what it begins with. Where quotes could hide the brace, all of s is inside.
func untilBrace(s string) (inside, rest string) {
	if strings.ContainsAny(s, "'\"\\`") {
		return s, ""
	}
	open := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}

// tooDeep says whether more variables than any honest word has are inside of each other, as far as braces tell.
func tooDeep(word string) bool {
	open := 0
	for i := range len(word) {
		switch {
		case word[i] == '{' && i > 0 && word[i-1] == '$':
			if open++; open > maxBraces {
				return true
			}
		case word[i] == '}':
			open = max(open-1, 0)
		}
	}
	return false
}
