package dockerfile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// numbered is a line for each number, in which %1 stands for it, and %0 for the one before.
func numbered(n int, line string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(strings.NewReplacer("%1", fmt.Sprint(i), "%0", fmt.Sprint(i-1)).Replace(line) + "\n")
	}
	return b.String()
}

// What a small Dockerfile can expand to is bounded: it ends with an error that names bound and line, and not in memory.
func TestExpansionIsBounded(t *testing.T) {
	const from = "FROM scratch\n"
	value := strings.Repeat("x", 40_000)
	const total, pattern, nested = "expand to more than 64 MiB", "longer than 64 KiB", "nested in each other"
	for _, c := range []struct{ name, text, want string }{
		{"doubled ARGs", from + "ARG A0=0123456789\n" + numbered(40, "ARG A%1=$A%0$A%0"), total},
		{"doubled global ARGs", "ARG A0=0123456789\n" + numbered(40, "ARG A%1=${A%0}${A%0}") + from, total},
		{"doubled ENVs", from + "ENV A0=0123456789\n" + numbered(40, "ENV A%1=${A%0:-x}${A%0}"), total},
		{"many in one word", from + "ARG A=" + value + "\nARG B=" + strings.Repeat("$A", 4000), total},
		{"many in FROM", "ARG A=" + value + "\nFROM " + strings.Repeat("$A", 4000), total},
		{"many in a heredoc", from + "ARG A=" + value + "\nCOPY <<E /x\n" + strings.Repeat("$A\n", 4000) + "E", total},
		{"many in EXPOSE", from + "ARG A=" + value + "\nEXPOSE " + strings.Repeat("$A", 4000), total},
		{"labels", from + "ENV A=" + value + "\n" + numbered(4000, "LABEL l%1=$A"), total},
		{"history of RUNs", from + "ARG A=" + value + "\n" + numbered(4000, "RUN %1"), total},
		{"ranges of ports", from + numbered(400, "EXPOSE 0-65535"), total},
		{"replaced by much", from + "ARG A=" + value + "\nENV B=${A//x/" + strings.Repeat("y", 30_000) + "}", total},
		{"replaced twice", from + "ARG A=" + value + "\nENV B=${A//x/${A//x/" + strings.Repeat("y", 100) + "}}", pattern},
		{"replaced behind a quote", from + "ARG A=" + value + "\nENV B=${A//'}'/" + strings.Repeat("$A", 4) + "}", pattern},
		{"replaced by groups", from + "ARG A=" + value + "\nENV B=${A//*/" + strings.Repeat("\\$0", 10_000) + "}", total},
		{"a long pattern", from + "ARG A=" + value + "\nENV B=${A%" + value + "$A}", pattern},
		{"deep", from + "ENV B=" + strings.Repeat("${A:-", 5_000) + strings.Repeat("}", 5_000), nested},
		{"names of digits and letters", from + "ENV 1=" + value + "\nENV ä=" + value + "\nENV B=" + strings.Repeat("$1a${ä}", 4000), total},
		{"lines", from + strings.Repeat("#\n", maxLines), "more than 500000 lines"},
		{"instructions", from + numbered(maxInstructions, "ENV A%1=b"), "f:10001: the Dockerfile has more than 10000 instructions"},
		{"a NUL byte", from + "ENV A=x\x00y\n", "NUL byte"},
		{"honest", from + "ENV A=" + value[:400] + "\n" + numbered(100, "ENV B%1=${A//x/y} C%1=${PATH//:/;}\nRUN %1") + "RUN " + strings.Repeat("${A:-", 900) + strings.Repeat("}", 900), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := resolveAll(c.text)
			runtime.ReadMemStats(&after)
			if grown := after.Sys - before.Sys; grown > 400<<20 {
				t.Errorf("it took %d MiB", grown>>20)
			}
			if c.want == "" {
				if err != nil {
					t.Errorf("error %.300v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("error %.300v, want %s", err, c.want)
			}
		})
	}
}

// resolveAll parses a Dockerfile and resolves its stages, twice, as a build does that guesses first.
func resolveAll(text string) error {
	p, err := Parse("f", []byte(text), Options{})
	if err != nil {
		return err
	}
	for range 2 {
		for _, s := range p.Stages {
			if _, err := s.Resolve(nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// What atMost says is never less than what a word becomes.
func FuzzAtMost(f *testing.F) {
	for _, word := range []string{"$A${B:-$A}", "${A//x/$B}", "${A/x/${B//y/$A}}", "${A//'}'/$B}", "${A//\"}\"/$A$B}", `${A//\}/$B}`, "$1a$@${ä%*}", "'$A", "${A//*/$0$0}"} {
		f.Add(word, "xxxx", "yy$0y")
	}
	f.Fuzz(func(t *testing.T, word, a, b string) {
		if len(word)+len(a)+len(b) > 1000 || tooDeep(word) || strings.Contains(word+a+b, "\x00") {
			return
		}
		word, a, b = asText(word), asText(a), asText(b)
		env := newVariables()
		for name, value := range map[string]string{"A": a, "B": b, "1": a, "ä": b, "@": a} {
			env.set(name, value)
		}
		most, err := atMost(word, env)
		if err != nil || most > 1<<20 {
			return
		}
		for _, raw := range []bool{false, true} {
			lex := shell.NewLex('\\')
			lex.RawQuotes, lex.RawEscapes, lex.SkipUnsetEnv = raw, raw, raw
			out, err := lex.ProcessWordWithMatches(word, env)
			if err == nil && len(out.Result) > most {
				t.Errorf("%q becomes %d bytes, of at most %d", word, len(out.Result), most)
			}
			if words, err := lex.ProcessWords(word, env); err == nil && len(strings.Join(words, "")) > most {
				t.Errorf("%q becomes %d bytes in words, of at most %d", word, len(strings.Join(words, "")), most)
			}
		}
	})
}
