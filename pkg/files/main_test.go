package files

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/gbuild/gbuild/internal/testtree"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// outside is set for tests that run where they are, as an ordinary user without a namespace.
const outside = "GBUILD_TEST_OUTSIDE"

func TestMain(m *testing.M) {
	runtime.Init()
	remote.InitGit()
	if os.Getenv(outside) != "" || host.Entered() || slices.Contains(os.Args, "-test.fuzzworker") { // it talks to its parent over descriptors that a second exec would lose
		end := testtree.Owners()
		code := m.Run()
		end()
		os.Exit(code)
	}
	code, err := host.Enter(context.Background(), host.EnterOptions{})
	if err != nil {
		os.Stderr.WriteString("skipping: " + err.Error() + "\n")
		os.Exit(0)
	}
	os.Exit(code)
}

// TestWithOneID runs the tests of owners once more where they are marks.
func TestWithOneID(t *testing.T) {
	if rootfs.Marked() {
		t.Skip("they are marks in all tests here")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^Test(CopyForms|CopyFromState|CopyErrors|CopySocketBecomesEmptyFile|MakeDir|AddArchive|Pack|PackDir)$")
	cmd.Env = append(os.Environ(), outside+"=1")
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: one, GidMappings: one}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
