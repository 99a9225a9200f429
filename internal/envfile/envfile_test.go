package envfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func lookupIn(env ...string) func(string) (string, bool) {
	return func(k string) (value string, ok bool) {
		for _, pair := range env {
			if v, found := strings.CutPrefix(pair, k+"="); found {
				value, ok = v, true
			}
		}
		return value, ok
	}
}

func TestParseDocker(t *testing.T) {
	for _, c := range []struct {
		in       string
		want     []string
		warnings string
		err      string
	}{
		{in: ""},
		{in: "A=1\nB=2", want: []string{"A=1", "B=2"}},
		{in: "\ufeffA=1\r\n\r\n  # note\r\n\t B=x y \r\n", want: []string{"A=1", "B=x y "}},
		{in: "A=\nB==\nC=a=b", want: []string{"A=", "B==", "C=a=b"}},
		{in: "HOME\nUNSET\nEMPTY\n", want: []string{"HOME=/h", "EMPTY="}},
		{in: "A=1\nA=2", want: []string{"A=1", "A=2"}},
		{in: "A=x#y\nB=#z", want: []string{"A=x#y", "B=#z"}},
		{in: "K=sk-1 # mine\nQ=\"x\"\nS='y' \nP='z", want: []string{"K=sk-1 # mine", `Q="x"`, "S='y' ", "P='z"},
			warnings: "f.env:1: K: what follows the # is part of the value; --dotenv reads it as a comment, as compose does\n" +
				"f.env:2: Q: the quotes are part of the value; --dotenv reads them as compose does\n" +
				"f.env:3: S: the quotes are part of the value; --dotenv reads them as compose does\n"},
		{in: "A=${HOME}\nB=$HOME", want: []string{"A=${HOME}", "B=$HOME"}},
		{in: "1a.b-c=ok", want: []string{"1a.b-c=ok"}},
		{in: "A=" + strings.Repeat("x", 100_000), want: []string{"A=" + strings.Repeat("x", 100_000)}},
		{in: "A=1\n=secret", err: "f.env:2: no variable name before the ="},
		{in: "A =secret", err: "f.env:1: variable 'A …' contains whitespaces"},
		{in: "export A=secret", err: "f.env:1: variable 'export A' contains whitespaces"},
		{in: "words of a secret", err: "f.env:1: variable 'words …' contains whitespaces"},
		{in: "A=1\nB=\xff\xfe", err: "f.env:2: invalid utf8 bytes"},
		{in: "A=a\x00b", err: "f.env:1: a NUL byte"},
	} {
		got, warnings, err := ParseDocker("f.env", []byte(c.in), lookupIn("HOME=/h", "EMPTY="))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%.40q: error %v, want %s", c.in, err, c.err)
			}
			continue
		}
		var w strings.Builder
		for _, x := range warnings {
			fmt.Fprintln(&w, x)
		}
		if err != nil || !slices.Equal(got, c.want) || w.String() != c.warnings {
			t.Errorf("%.40q: %q, %v\n%s\nwant %q\n%s", c.in, got, err, &w, c.want, c.warnings)
		}
		if strings.Contains(w.String(), "sk-1") {
			t.Errorf("a warning shows a value: %s", &w)
		}
	}
	if got, _, err := ParseDocker("f", []byte("A"), nil); err != nil || got != nil {
		t.Error(got, err)
	}
}

func TestParseDotenv(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		err  string
	}{
		{in: ""},
		{in: "# only\n  # comments\n"},
		{in: "\ufeffA=1\r\nB=2\r\n", want: []string{"A=1", "B=2"}},
		{in: "export A=1\nexport  B = 2 \nexporter=3\nexport=4", want: []string{"A=1", "B=2", "exporter=3", "export=4"}},
		{in: "A: 1\nB: two words", want: []string{"A=1", "B=two words"}},
		{in: "A=x # note\nB=x#y\nC=# note\nD=#\nE= # note", want: []string{"A=x", "B=x#y", "C=# note", "D=#", "E=# note"}},
		{in: `A="x # y" # note` + "\nB='x # y'# note", want: []string{"A=x # y", "B=x # y"}},
		{in: `A="a\nb\t\"c\" \\ \$HOME \q"`, want: []string{"A=a\nb\t\"c\" \\ $HOME \\q"}},
		{in: `A='a\nb $HOME ${HOME}'`, want: []string{`A=a\nb $HOME ${HOME}`}},
		{in: `A='Let\'s go'`, want: []string{"A=Let's go"}},
		{in: "A=\"one\ntwo\"\nB='three\r\nfour'\nC=5", want: []string{"A=one\ntwo", "B=three\r\nfour", "C=5"}},
		{in: "A=1\nB=$A-${A}x\nC=$HOME", want: []string{"A=1", "B=1-1x", "C=/h"}},
		{in: "HOME=/mine\nB=$HOME", want: []string{"HOME=/mine", "B=/h"}},
		{in: "A=${U:-x}\nB=${U-y}\nC=${EMPTY:-z}\nD=${EMPTY-z}\nE=${HOME:-z}", want: []string{"A=x", "B=y", "C=z", "D=", "E=/h"}},
		{in: "A=${HOME:+x}\nB=${U:+x}\nC=${EMPTY:+x}\nD=${EMPTY+x}", want: []string{"A=x", "B=", "C=", "D=x"}},
		{in: "A=${U:-${V:-deep}}\nB=\"${U:-a b}\"", want: []string{"A=deep", "B=a b"}},
		{in: `A=$$HOME` + "\n" + `B=\$HOME` + "\nC=5$\nD=$5\nE=a$-b", want: []string{"A=$HOME", `B=\/h`, "C=5$", "D=$5", "E=a$-b"}},
		{in: "A=1\nB=2\nA=3", want: []string{"A=3", "B=2"}},
		{in: "HOME\nU\nEMPTY", want: []string{"HOME=/h", "EMPTY="}},
		{in: "A=\nB=\n\nC", want: []string{"A=", "B="}},
		{in: "EMPTY # secret", err: ".env:1: unexpected text after the variable name EMPTY"},
		{in: "A='x'secret", err: ".env:1: text after the closing quote"},
		{in: "A=1\nB=\"x", err: ".env:2: the quote that begins this value has no end"},
		{in: "A=\"x\ny\" secret", err: ".env:2: text after the closing quote"},
		{in: "A=1\n\nB=${HOME", err: ".env:3: ${ has no closing brace"},
		{in: "A=\"l1\nl2\n${U:?give U}\"", err: ".env:1: required variable U is missing a value: give U"},
		{in: "A=${U?}", err: ".env:1: required variable U is missing a value: "},
		{in: "A=${1x}", err: ".env:1: invalid ${…} expression"},
		{in: "A=${}", err: ".env:1: invalid ${…} expression"},
		{in: "A=${HOME/x/y}", err: ".env:1: invalid ${…} expression"},
		{in: "=secret", err: ".env:1: a variable name must come here"},
		{in: "A B=secret", err: ".env:1: unexpected text after the variable name A"},
		{in: "A=1\nB=\xff", err: ".env:2: not text in UTF-8"},
		{in: "A=1\nB=\x00", err: ".env:2: not text in UTF-8"},
		{in: "A=" + strings.Repeat("${U:-", 100) + strings.Repeat("}", 100), err: ".env:1: variables nested too deeply"},
	} {
		got, err := ParseDotenv(".env", []byte(c.in), lookupIn("HOME=/h", "EMPTY="))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%.60q: error %v, want %s", c.in, err, c.err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%.60q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

// No input may crash the parsers or put a value into an error.
func FuzzEnvFiles(f *testing.F) {
	for _, s := range []string{"A=1", "export A=\"x\\n${B:-c}\" # d", "A='x\ny'", "A=${", "\ufeff", "=\n", "A=$$\\$$B"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseDotenv("f", data, nil)
		for _, e := range got {
			if k, _, ok := strings.Cut(e, "="); !ok || k == "" || strings.Contains(k, "\n") {
				t.Errorf("%q", e)
			}
		}
		if _, ok := errors.AsType[*Error](err); err != nil && !ok {
			t.Error(err)
		}
		if _, _, err := ParseDocker("f", data, nil); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Error(err)
			}
		}
	})
}
