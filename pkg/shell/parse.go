// This file owns how text is parsed, and how much of it.

package shell

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxText is how long a text may be that is read as shell text: nested deeply, one takes a thousand times its length.
const maxText = 64 << 10

// Parse reads text as a shell does. Its error says why the text is not understood.
func Parse(text string) (*syntax.File, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
}
