package files

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
)

func TestMain(m *testing.M) {
	runtime.Init()
	remote.InitGit()
	if runtime.Entered() || slices.Contains(os.Args, "-test.fuzzworker") { // it talks to its parent over descriptors that a second exec would lose
		os.Exit(m.Run())
	}
	code, err := runtime.Enter(context.Background(), runtime.EnterOptions{})
	if err != nil {
		os.Stderr.WriteString("skipping: " + err.Error() + "\n")
		os.Exit(0)
	}
	os.Exit(code)
}
