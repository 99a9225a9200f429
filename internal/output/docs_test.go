package output

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsOutputs compares the page with the types of --output and their options.
func TestDocsOutputs(t *testing.T) {
	want := slices.Concat(kindNames(), imageOptions)
	slices.Sort(want)
	if docs := docCells(t, "Outputs", 1); !slices.Equal(docs, want) {
		t.Errorf("docs/dockerfile.md has\n%v\n--output has\n%v", docs, want)
	}
	var options []string
	for _, k := range kinds {
		options = append(options, k.options...)
	}
	documented := docCells(t, "Outputs", 2)
	for _, o := range options {
		if !slices.Contains(documented, o) {
			t.Errorf("option %s of --output is not in docs/dockerfile.md", o)
		}
	}
}

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
