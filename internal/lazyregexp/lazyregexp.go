// Package lazyregexp compiles regular expressions when they are first used: every sandbox is started by a process of this
// program, and would pay for what is compiled at its start.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that gives the compiled expression. It panics at the first use of one that is not valid.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
