package layers

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gbuild/gbuild/internal/testtree"
)

// inNamespace says that the tests run as uid 0 of a user and mount namespace, as gbuild does when it works on files.
const inNamespace = "GBUILD_TEST_IN_NAMESPACE"

func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) != "" {
		os.Exit(run(m))
	}
	size := 1
	if os.Getuid() == 0 {
		size = idRange()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: size}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: size}},
		Pdeathsig:   syscall.SIGKILL,

		GidMappingsEnableSetgroups: os.Getuid() == 0,
	}
	if err := cmd.Run(); err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "no user namespace, tests run without one:", err)
		os.Exit(run(m))
	}
}

func run(m *testing.M) int {
	defer testtree.Owners()()
	if len(os.Args) > 1 && os.Args[1] == "crash" {
		crash(os.Args[2:])
		return 0
	}
	if len(os.Args) > 4 && os.Args[1] == "place" {
		placeChild(os.Args[2], os.Args[3], os.Args[4])
	}
	if len(os.Args) > 3 && os.Args[1] == "kinds" {
		if err := kindsChild(os.Args[2], os.Args[3]); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
	if len(os.Args) > 1 && os.Args[1] == "plain" {
		plainUser(os.Args[2])
		return 0
	}
	return m.Run()
}

// idRange returns how many ids from 0 on this user has.
func idRange() int {
	var inside, outside, size int
	data, _ := os.ReadFile("/proc/self/uid_map")
	if n, _ := fmt.Sscan(string(data), &inside, &outside, &size); n != 3 || inside != 0 {
		return 1
	}
	return size
}

// needRoot skips a test that has to give files to other users of this machine.
func needRoot(t testing.TB) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Chown(1000, 1000); err != nil {
		t.Skipf("cannot change owners here: %v", err)
	}
}
