package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/testdocs"
)

// TestDocsOptions compares the page with the flags of gbuild build, hidden ones included.
func TestDocsOptions(t *testing.T) {
	a := testApp(nil)
	var flags []string
	newBuildCommand(a).Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, "--"+f.Name) })
	slices.Sort(flags)
	if docs := testdocs.Words(t, "Options of gbuild build", 0); !slices.Equal(docs, flags) {
		t.Errorf("docs/dockerfile.md has\n%v\ngbuild build has\n%v", docs, flags)
	}
}

// testApp is the app of a process with these variables.
func testApp(vars map[string]string) *cli.App {
	return cli.New(func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, nil, cli.Handed{})
}

// TestDocsLimits compares the table of what one id cannot do with the script that pins each of its rows.
func TestDocsLimits(t *testing.T) {
	page, err := os.ReadFile("../../docs/rootless.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/isolation-limits.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## One id\n")
	section, _, _ = strings.Cut(section, "\n## ")
	first := func(pattern, text string) (words []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			words = append(words, m[1])
		}
		slices.Sort(words)
		return words
	}
	rows, pinned := first(`(?m)^\| ([^|-][^|]*?) \|`, section), first(`(?m)^# limit: (.*)$`, string(script))
	rows = slices.DeleteFunc(rows, func(row string) bool { return row == "what" })
	if len(rows) == 0 || !slices.Equal(rows, pinned) {
		t.Errorf("docs/rootless.md has\n%q\nthe script pins\n%q", rows, pinned)
	}
}
