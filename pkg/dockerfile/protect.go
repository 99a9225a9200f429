// This file hides the variables in the mounts of a RUN from BuildKit's parser, which would refuse them, and brings them back.

package dockerfile

import (
	"errors"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// protectedDollar stands for a $ in a mount while BuildKit's parser looks at it: that refuses variables in from=, which
// are expanded here. It is a code point for private use, and no part of a name.
const protectedDollar = "\uE024"

// protect hides the variables in the mounts of a RUN from the parser.
func protect(node *parser.Node) {
	if !strings.EqualFold(node.Value, "run") {
		return
	}
	for i, flag := range node.Flags {
		if strings.HasPrefix(flag, "--mount=") {
			node.Flags[i] = strings.ReplaceAll(flag, "$", protectedDollar)
		}
	}
}

// unprotect brings the variables back.
func unprotect(s string) string { return strings.ReplaceAll(s, protectedDollar, "$") }

// unprotected gives an error that quotes a mount the text that the user wrote.
func unprotected(err error) error {
	if text := err.Error(); strings.Contains(text, protectedDollar) {
		return errors.New(unprotect(text))
	}
	return err
}
