package output

import (
	"slices"
	"testing"

	"github.com/gbuild/gbuild/internal/testdocs"
)

// TestDocsOutputs compares the page with the types of --output and their options.
func TestDocsOutputs(t *testing.T) {
	want := slices.Concat(kindNames(), imageOptions)
	slices.Sort(want)
	if docs := testdocs.Words(t, "Outputs", 0); !slices.Equal(docs, want) {
		t.Errorf("docs/dockerfile.md has\n%v\n--output has\n%v", docs, want)
	}
	var options []string
	for _, k := range kinds {
		options = append(options, k.options...)
	}
	documented := testdocs.Words(t, "Outputs", 1)
	for _, o := range options {
		if !slices.Contains(documented, o) {
			t.Errorf("option %s of --output is not in docs/dockerfile.md", o)
		}
	}
}
