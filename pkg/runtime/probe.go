// This file owns the questions what this host can do: it gathers facts, and support.go decides what they mean.

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// Probe finds out what this host offers. It changes nothing and starts nothing that stays.
func Probe() Support {
	return decide(gather())
}

// gather asks the kernel by trying: a setting alone does not say what a policy or a container around this one forbids.
func gather() facts {
	f := facts{
		uid:          os.Geteuid(),
		clone:        tryNamespaces(0),
		network:      tryNamespaces(unix.CLONE_NEWNET),
		apparmor:     readSetting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
		unprivileged: readSetting("/proc/sys/kernel/unprivileged_userns_clone"),
		maxUserns:    readSetting("/proc/sys/user/max_user_namespaces"),
		mountinfo:    readSetting("/proc/self/mountinfo"),
		kernel:       readSetting("/proc/sys/kernel/osrelease"),
		tun:          network.TryTun(),
		seccomp:      filtersCalls,
	}
	if f.tun != nil {
		f.pair = network.TryPair(Entered())
	}
	f.cgroupV2, f.controllers = ownCgroup()
	if f.uid == 0 {
		return f
	}
	f.mapper = missingMapper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if _, m := subordinateMap(file, f.uid, uint32(f.uid)); m != nil {
			f.subordinate = m
		}
	}
	return f
}

// tryNamespaces makes the namespaces for a program that does not exist: where that is all that fails, they were made.
func tryNamespaces(more uintptr) error {
	cmd := exec.Cmd{Path: "/nonexistent", SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | more}}
	err := cmd.Start()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// startFailure names what the host lacks when the child could not be made.
func startFailure(err error) error {
	f := gather()
	if f.clone == nil {
		f.clone = err
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) {
		return decideNamespaces(f)
	}
	return fmt.Errorf("starting this program in its own namespaces: %w", err)
}

// mapFailure names what the host lacks when the ids could not be mapped.
func mapFailure(err error) error {
	var m *Missing
	if errors.As(err, &m) || !errors.Is(err, unix.EPERM) {
		return err
	}
	f := gather()
	f.clone = err
	return decideNamespaces(f)
}

// Refused says why this process has no namespace of its own, where the kernel did not let early.c make one that is of use.
// It is nil where nobody tried, or the ids could not be mapped: Enter may do better then.
func Refused() error {
	if !earlyRefused() {
		return nil
	}
	if m := Probe().UserNamespaces; m != nil {
		return m
	}
	return &Missing{What: "a user namespace can be made here, but nothing may be done in it",
		Remedy: "a policy forbids it; on Ubuntu 24.04 run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give this program an AppArmor profile with the rule `userns,`"}
}
