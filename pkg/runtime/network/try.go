// This file finds out which parts of a private network can be made on this host, by making each of them once. Nothing of that
// stays. A pair of devices may need a process of its own for this: RunTry runs in it, and ends it.

package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/thread"
)

// TryNamespace makes a network namespace.
func TryNamespace() error { return thread.Run(unshare) }

// TryTun opens /dev/net/tun. Another file may be in its place.
func TryTun() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = unix.IoctlGetUint32(int(f.Fd()), unix.TUNGETFEATURES)
	return err
}

// tryVar tells a process that TryPair started what it is for.
const tryVar = "_GBUILD_PROBE_NETWORK"

// TryPair makes a pair of devices, in namespaces of a process that ends at once where this one has no user namespace of its
// own.
func TryPair(entered bool) error {
	if entered {
		return thread.Run(func() error {
			if err := unshareForPair(); err != nil {
				return err
			}
			return openPair()
		})
	}
	ids := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{tryVar + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: ids(os.Geteuid()), GidMappings: ids(os.Getegid())}
	said, err := cmd.CombinedOutput()
	if len(said) > 0 {
		return errors.New(string(said))
	}
	return err
}

// RunTry ends this process where TryPair has started it.
func RunTry() {
	if os.Getenv(tryVar) == "" {
		return
	}
	if err := thread.Run(openPair); err != nil {
		fmt.Fprint(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// openPair makes a pair and opens it, as a sandbox would.
func openPair() error {
	p, err := makePair()
	if err != nil {
		return err
	}
	defer p.close()
	socket, err := p.open()
	if err != nil {
		return err
	}
	return socket.Close()
}
