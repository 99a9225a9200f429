package dockerfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/command"

	"github.com/gbuild/gbuild/internal/testdocs"
)

func firstCells(rows [][][]string) (all []string) {
	for _, row := range rows {
		all = append(all, row[0]...)
	}
	slices.Sort(all)
	return all
}

// sourceNames returns what a pattern finds in the files of a package of BuildKit: the lists there are not exported.
func sourceNames(t *testing.T, pkg, files, pattern string) (names []string) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/moby/buildkit/frontend/dockerfile/"+pkg).Output()
	if err != nil {
		t.Skipf("the sources of BuildKit cannot be found: %v", err)
	}
	matches, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), files))
	if err != nil || len(matches) == 0 {
		t.Fatalf("no %s in %s: %v", files, dir, err)
	}
	for _, name := range matches {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(raw), -1) {
			names = append(names, regexp.MustCompile(`[^", ]+`).FindAllString(m[1], -1)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sameNames(t *testing.T, what string, documented, known []string) {
	t.Helper()
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("%s %s is in the docs, but not in the code", what, name)
		}
	}
	for _, name := range known {
		if !slices.Contains(documented, name) {
			t.Errorf("%s %s is not in docs/dockerfile.md", what, name)
		}
	}
}

// TestDocsInstructions compares the page with the instructions, and their flags with what the parser takes.
func TestDocsInstructions(t *testing.T) {
	rows := testdocs.Table(t, "Instructions")
	var known, flags []string
	for name := range command.Commands {
		known = append(known, strings.ToUpper(name))
	}
	sameNames(t, "instruction", firstCells(rows), known)
	for _, row := range rows {
		for _, flag := range row[1] {
			flags = append(flags, strings.TrimPrefix(flag, "--"))
			src := "FROM scratch\n" + row[0][0] + " " + flag + "=true x y\n"
			if row[0][0] == "FROM" {
				src = "FROM " + flag + "=linux/amd64 scratch\n"
			}
			if _, err := Parse("Dockerfile", []byte(src), Options{}); err != nil && strings.Contains(err.Error(), "unknown flag") {
				t.Errorf("%s: %v", row[0][0], err)
			}
		}
	}
	slices.Sort(flags)
	sameNames(t, "flag", slices.Compact(flags), sourceNames(t, "instructions", "*.go", `flags\.Add\w+\("([a-z-]+)"`))
}

// TestDocsMounts compares the page with the types and keys of mounts.
func TestDocsMounts(t *testing.T) {
	types, keys := []string{}, []string{}
	for _, row := range testdocs.Table(t, "Mounts of RUN") {
		if len(types) < 5 {
			types = append(types, row[0]...)
		} else {
			keys = append(keys, row[0]...)
		}
	}
	sameNames(t, "mount type", types, []string{string(MountBind), string(MountCache), string(MountTmpfs), string(MountSecret), string(MountSSH)})
	sameNames(t, "key of a mount", keys, sourceNames(t, "instructions", "commands_runmount.go", `case ("[a-z", ]+):`))
}

// TestDocsArgs compares the page with the predefined ARGs.
func TestDocsArgs(t *testing.T) {
	sameNames(t, "ARG", firstCells(testdocs.Table(t, "Predefined ARGs")), predefined(&Plan{}, "x").Keys())
}

// TestDocsRules compares the page with BuildKit's lint rules and gbuild's.
func TestDocsRules(t *testing.T) {
	known := sourceNames(t, "linter", "ruleset.go", `Name:\s+"(\w+)"`)
	for _, rule := range ownRules {
		known = append(known, rule.name)
	}
	sameNames(t, "rule", firstCells(testdocs.Table(t, "Lint rules")), known)
}
