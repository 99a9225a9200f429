package runtime

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// TestMain runs the tests in the namespaces in which gbuild runs its sandboxes. Where those cannot be made the tests
// that need them skip.
func TestMain(m *testing.M) {
	Init()
	if f, ok := helpers[os.Getenv("GBUILD_TEST_HELPER")]; ok {
		os.Exit(f())
	}
	fuzzing := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzzworker") })
	if host.Entered() || fuzzing { // a worker's pipes are descriptors that Enter would not hand on
		os.Exit(m.Run())
	}
	if os.Geteuid() == 0 {
		_ = os.Chmod("/dev/net/tun", 0o666)
	}
	code, err := host.Enter(context.Background(), host.EnterOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "running without namespaces:", err)
		code = m.Run()
	}
	os.Exit(code)
}

// helpers are what the test binary does instead of testing, by the value of GBUILD_TEST_HELPER.
var helpers = map[string]func() int{
	// enter:SCRIPT behaves like main: it enters once and runs the shell script there.
	"enter": func() int {
		if !host.Entered() {
			code, err := host.Enter(context.Background(), host.EnterOptions{})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 99
			}
			return code
		}
		cmd := exec.Command("/bin/sh", "-c", os.Getenv("SCRIPT"))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode()
	},
}

func helper(t testing.TB, name string, env ...string) *exec.Cmd {
	t.Helper()
	needEntered(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, "GBUILD_TEST_HELPER="+name)...)
	return cmd
}

func needEntered(t testing.TB) {
	t.Helper()
	if !host.Entered() || host.SingleID() {
		t.Skip("needs user namespaces with more than one id")
	}
}
