package snapshotter

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace says that the tests run as uid 0 of a user and mount namespace.
const inNamespace = "GBUILD_TEST_IN_NAMESPACE"

func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil { // no user namespace: tests run without one
			os.Exit(m.Run())
		}
		os.Exit(cmd.ProcessState.ExitCode())
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stackDirs makes the directories of an overlay.
func stackDirs(t *testing.T) (lower, upper, work, root string) {
	t.Helper()
	dir := t.TempDir()
	all := []string{"lower", "upper", "work", "root"}
	for i, name := range all {
		all[i] = filepath.Join(dir, name)
		check(t, os.Mkdir(all[i], 0o755))
	}
	return all[0], all[1], all[2], all[3]
}

// Both ways of mounting show the same.
func TestOldKernels(t *testing.T) {
	lower, upper, work, root := stackDirs(t)
	check(t, os.WriteFile(filepath.Join(lower, "f"), []byte("lower"), 0o644))
	o := overlay{lowers: []string{lower}, upper: upper, work: work}
	if err := o.mountOld(root); err == unix.EPERM {
		t.Skip("cannot mount overlays here:", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(root, unix.MNT_DETACH)
	if data, err := os.ReadFile(filepath.Join(root, "f")); string(data) != "lower" {
		t.Errorf("%q %v", data, err)
	}
}
