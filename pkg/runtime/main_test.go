package runtime

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain runs the tests in the namespaces in which gbuild runs its sandboxes. Where those cannot be made the tests
// that need them skip.
func TestMain(m *testing.M) {
	Init()
	if f, ok := helpers[os.Getenv("GBUILD_TEST_HELPER")]; ok {
		os.Exit(f())
	}
	fuzzing := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzzworker") })
	if Entered() || fuzzing { // a worker's pipes are descriptors that Enter would not hand on
		os.Exit(m.Run())
	}
	if os.Geteuid() == 0 {
		_ = os.Chmod("/dev/net/tun", 0o666)
	}
	code, err := Enter(context.Background(), EnterOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "running without namespaces:", err)
		code = m.Run()
	}
	os.Exit(code)
}

func needEntered(t testing.TB) {
	t.Helper()
	if !Entered() || SingleID() {
		t.Skip("needs user namespaces with more than one id")
	}
}
