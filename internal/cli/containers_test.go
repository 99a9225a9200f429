package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// The end of a container becomes one exit code.
func TestContainerExit(t *testing.T) {
	for code, err := range map[int]error{
		0:   nil,
		7:   &runtime.ExitError{Code: 7},
		64:  &host.Missing{What: "user namespaces"},
		125: errors.New("no such image"),
		127: &runtime.ExitError{Code: 127, Err: errors.New("not found")},
		130: Interrupted(2),
	} {
		a := New(Environment(func(string) (string, bool) { return "", false }), nil, Handed{})
		said := &strings.Builder{}
		a.Stderr = said
		if got := ExitCode(a.ContainerExit(err)); got != code || (said.Len() > 0) != (code > 10 && code != 130) {
			t.Errorf("%v: %d, want %d; said %q", err, got, code, said)
		}
	}
}
