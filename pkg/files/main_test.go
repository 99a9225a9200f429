package files

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// outside is set for tests that run where they are, as an ordinary user without a namespace.
const outside = "GBUILD_TEST_OUTSIDE"

func TestMain(m *testing.M) {
	runtime.Init()
	remote.InitGit()
	if os.Getenv(outside) != "" || runtime.Entered() || slices.Contains(os.Args, "-test.fuzzworker") { // it talks to its parent over descriptors that a second exec would lose
		os.Exit(m.Run())
	}
	code, err := runtime.Enter(context.Background(), runtime.EnterOptions{})
	if err != nil {
		os.Stderr.WriteString("skipping: " + err.Error() + "\n")
		os.Exit(0)
	}
	os.Exit(code)
}
