// Package testdocs reads the tables of docs/dockerfile.md, for tests that hold the page against the code.
package testdocs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// Table returns the rows of the tables below a heading of the page, each cell as its `words`. The test runs in a directory
// two levels below that of the project.
func Table(t *testing.T, heading string) (rows [][][]string) {
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
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		var row [][]string
		for _, cell := range strings.Split(strings.ReplaceAll(line, `\|`, " "), "|")[1:] {
			var words []string
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				words = append(words, m[1])
			}
			row = append(row, words)
		}
		rows = append(rows, row)
	}
	return rows
}

// Words returns the `words` of a column, of which the first is 0, sorted and each once.
func Words(t *testing.T, heading string, column int) (words []string) {
	t.Helper()
	for _, row := range Table(t, heading) {
		if column < len(row) {
			words = append(words, row[column]...)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}
