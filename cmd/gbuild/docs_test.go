package main

import (
	"slices"
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
