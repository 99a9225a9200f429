package host

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// TestMain runs the tests in namespaces. Where those cannot be made the tests that need them skip.
func TestMain(m *testing.M) {
	Init()
	if f, ok := helpers[os.Getenv("GBUILD_TEST_HELPER")]; ok {
		os.Exit(f())
	}
	if Entered() {
		os.Exit(m.Run())
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
