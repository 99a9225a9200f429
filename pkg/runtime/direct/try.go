// This file owns the trial of what a command needs of the rights of its place.

package direct

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryName is the name of the process that tries: what it becomes it stays.
const tryName = "gbuild-try"

// Rights are what Try tries, in its order.
var Rights = []string{"give files to others (CAP_CHOWN)", "read and write the files of others (CAP_DAC_OVERRIDE)", "change the modes of the files of others (CAP_FOWNER)",
	"make devices (CAP_MKNOD)", "change the root directory (CAP_SYS_CHROOT)", "become another user (CAP_SETUID, CAP_SETGID)"}

// Try does once what commands do, by a process that ends then, and says what may not be done here, or "". The file that this takes is
// made in dir and removed.
func Try(dir string) (lacks string, err error) {
	own, err := os.MkdirTemp(dir, ".gbuild-try-")
	if err != nil {
		return "", fmt.Errorf("trying what root may do here: %w", err)
	}
	defer os.RemoveAll(own)
	cmd := &exec.Cmd{Path: selfExe, Args: []string{tryName, own}, Env: []string{}, Dir: "/", SysProcAttr: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() <= len(Rights) {
		return Rights[exit.ExitCode()-1], nil
	}
	return "", err
}

// try ends with the number of the first right that is missing, from 1 on.
func try(dir string) (number int) {
	file := filepath.Join(dir, "file")
	for i, do := range []func() error{
		func() error {
			return errors.Join(os.WriteFile(file, nil, 0o600), os.Lchown(file, 1, 1))
		},
		func() error { return os.WriteFile(file, nil, 0) },
		func() error { return os.Chmod(file, 0o644) },
		func() error { return unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) },
		func() error { return unix.Chroot("/") },
		func() error {
			return errors.Join(unix.Setgroups([]int{1}), unix.Setresgid(1, 1, 1), unix.Setresuid(1, 1, 1))
		},
	} {
		if do() != nil {
			return i + 1
		}
	}
	return 0
}
