package shell_test

import (
	"fmt"

	"github.com/gbuild/gbuild/pkg/shell"
)

// What a call comes to is not its first word.
func ExampleCommand_AllCalls() {
	c := &shell.Command{Args: []string{"/bin/sh", "-c", "cd /src && timeout 60 python3 -m pip install . && sudo uv sync"}}
	for _, call := range c.AllCalls() {
		for _, p := range call.Programs() {
			fmt.Printf("%s: %s %s %q\n", call.Name(), p.Name, p.Args[0].Value, p.Barrier.Why)
		}
	}
	// Output:
	// timeout: pip install ""
	// sudo: uv sync "behind sudo, which clears the environment"
}
