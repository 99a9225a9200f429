package envfile

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/sirupsen/logrus"
)

// Values are read as compose's own reader reads them.
func TestDotenvIsReadAsCompose(t *testing.T) {
	logrus.SetOutput(io.Discard) // it logs the variables that are not set
	lookup := lookupIn("HOME=/h", "EMPTY=")
	for _, value := range []string{
		"", "a b", " a # note", "a#b", `"a # b" # note`, `'a # b'`,
		`"a\nb\t\"c\" \\ \q"`, `"\a\b\f\r\v"`, `"\$HOME $$HOME"`, `"\\$HOME"`, `"\\\$HOME"`, `'a\nb $HOME \' \\'`, "\"one\ntwo\"", "'one\ntwo'",
		"$HOME", "$HOME-${HOME}x$U.", "$HOME$HOME", "$$HOME", "$$$HOME", "5$", "$5", "a$-b", "$", "$$", "a$", "{HOME}", "}{",
		"${U:-x}", "${U-x}", "${EMPTY:-x}", "${EMPTY-x}", "${HOME:-x}", "${U:-}", "${U:-a b}c", `"${U:-a b}"`, "${U:-$HOME}", "${U-${V:-${W:-deep}}}", "${U:-a}${V:-b}c}",
		"${HOME:+x}", "${U:+x}", "${EMPTY:+x}", "${EMPTY+x}", "${HOME:+${HOME}/bin:}", "${HOME?no}", "${HOME:?no}", "${U:-a:-b}", "${U:-a-b+c}",
	} {
		text := "K=" + value + "\n"
		got, err := ParseDotenv("f", []byte(text), lookup)
		want := map[string]string{}
		if composeErr := dotenv.ParseWithFormat(strings.NewReader(text), "f", want, lookup, dotenv.DotEnv); err != nil || composeErr != nil {
			t.Errorf("%q: %v, compose has %v", text, err, composeErr)
		}
		if !slices.Equal(got, []string{"K=" + want["K"]}) {
			t.Errorf("%q: %q, compose has %q", text, got, want)
		}
	}
}
