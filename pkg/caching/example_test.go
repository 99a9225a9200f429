package caching_test

import (
	"fmt"

	"github.com/gbuild/gbuild/pkg/caching"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// A command that calls pip is executed with a cache: the variable says where it is, and what turns it off is blanked.
func ExampleCalls_WithCache() {
	c := &shell.Command{Args: []string{"/bin/sh", "-c", "pip install --no-cache-dir torch"}}
	calls := caching.Read(c)
	out := calls.WithCache(installer.Pip, "/cache")
	fmt.Println(calls.Fetches(installer.Pip), calls.KeepsNone(installer.Pip))
	fmt.Printf("%q %q\n", out.Args[2], out.Env)
	// Output:
	// true true
	// "pip install                torch" ["PIP_CACHE_DIR=/cache"]
}
