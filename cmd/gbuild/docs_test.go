package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/spf13/pflag"
)

// docCells returns the `words` of a column in the tables below a heading of docs/dockerfile.md.
func docCells(t *testing.T, heading string, column int) (words []string) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/dockerfile.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(raw), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/dockerfile.md has no %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, line := range strings.Split(text, "\n") {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") || column >= len(cells) {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[column], -1) {
			words = append(words, m[1])
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// TestDocsOptions compares the page with the flags of gbuild build, hidden ones included.
func TestDocsOptions(t *testing.T) {
	a := testApp(nil)
	var flags []string
	newBuildCommand(a).Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, "--"+f.Name) })
	slices.Sort(flags)
	if docs := docCells(t, "Options of gbuild build", 1); !slices.Equal(docs, flags) {
		t.Errorf("docs/dockerfile.md has\n%v\ngbuild build has\n%v", docs, flags)
	}
}

// testApp is the app of a process with these variables.
func testApp(vars map[string]string) *cli.App {
	return cli.New(func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, nil, cli.Handed{})
}
