// This file owns the filter of system calls of a sandbox: which calls are refused, and which this process answers. It is one of
// the three files that know libcontainer.

package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"

	seccompprofile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/supervisor"
)

// filterOf is the whole filter; nil is none.
func filterOf(s *Sandbox, v *supervision, caps []string) (*configs.Seccomp, error) {
	profile, err := profileOf(s, caps)
	if err != nil || v.level == supervisor.None {
		return profile, err
	}
	if profile == nil {
		// Programs for other architectures go on, and nobody answers their calls.
		profile = &configs.Seccomp{DefaultAction: configs.Allow, Architectures: architectures[goruntime.GOARCH]}
	}
	if err := answered(profile, supervisor.Rules(v.level), v.level == supervisor.Fake); err != nil {
		return nil, err
	}
	profile.ListenerPath = v.socket
	return profile, nil
}

// profileOf is what refuses calls: moby's default profile, as it is for these capabilities, without the 32-bit architectures:
// through their socketcall, a filter on socket(2) can be passed by (moby takes that risk).
func profileOf(s *Sandbox, caps []string) (*configs.Seccomp, error) {
	if !host.FiltersCalls || s.Insecure || s.Seccomp == "unconfined" {
		return nil, nil
	}
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
	if s.Seccomp != "" {
		profile, err := seccompprofile.LoadProfile(s.Seccomp, spec)
		if err != nil {
			return nil, fmt.Errorf("reading the system call filter: %w", err)
		}
		return specconv.SetupSeccomp(profile)
	}
	profile, err := seccompprofile.GetDefaultProfile(spec)
	if err != nil {
		return nil, fmt.Errorf("making the system call filter: %w", err)
	}
	profile.Architectures = profile.Architectures[:min(1, len(profile.Architectures))]
	if s.hasDriver() {
		profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{Names: gpuCalls, Action: specs.ActAllow})
	}
	return specconv.SetupSeccomp(profile)
}

// architectures are those whose programs the kernel may run, in libcontainer's words, beside the one of this program.
var architectures = map[string][]string{"amd64": {"amd64", "x86", "x32"}, "arm64": {"arm64", "arm"}}

// gpuCalls are what CUDA shares memory between processes with, and places it near a GPU. The user namespace bounds them.
var gpuCalls = []string{"pidfd_open", "pidfd_getfd", "process_vm_readv", "process_vm_writev", "mbind", "set_mempolicy", "get_mempolicy", "move_pages"}

// answered changes a filter so that calls are answered that it allows. What it refuses stays refused. Fake answers are successes.
func answered(profile *configs.Seccomp, rules []supervisor.Rule, fake bool) error {
	action := configs.Syscall{Action: configs.Notify}
	if fake {
		action = configs.Syscall{Action: configs.Errno, ErrnoRet: new(uint)}
	}
	for _, rule := range rules {
		allowed := profile.DefaultAction == configs.Allow
		for _, call := range profile.Syscalls {
			if call.Name == rule.Call {
				allowed = call.Action == configs.Allow
				if len(call.Args) > 0 {
					return fmt.Errorf("the system call filter has a condition on %s, whose calls are answered by gbuild here: allow or refuse all of them", rule.Call)
				}
			}
		}
		if !allowed {
			continue
		}
		profile.Syscalls = slices.DeleteFunc(profile.Syscalls, func(call *configs.Syscall) bool { return call.Name == rule.Call })
		add := func(c configs.Syscall, args []*configs.Arg) {
			c.Name, c.Args = rule.Call, args
			profile.Syscalls = append(profile.Syscalls, &c)
		}
		if len(rule.When) == 0 {
			add(action, nil)
		}
		for _, m := range rule.When {
			add(action, []*configs.Arg{condition(m)})
		}
		for _, m := range rule.Else {
			add(configs.Syscall{Action: configs.Allow}, []*configs.Arg{condition(m)})
		}
	}
	return nil
}

// condition words a condition for libseccomp, whose masked comparison has the mask first.
func condition(m supervisor.Match) *configs.Arg {
	arg := &configs.Arg{Index: m.Arg, Value: m.Value}
	switch m.Op {
	case supervisor.MaskedEqual:
		arg.Op, arg.Value, arg.ValueTwo = configs.MaskEqualTo, m.Mask, m.Value
	case supervisor.Equal:
		arg.Op = configs.EqualTo
	case supervisor.NotEqual:
		arg.Op = configs.NotEqualTo
	case supervisor.AtMost:
		arg.Op = configs.LessThanOrEqualTo
	case supervisor.Greater:
		arg.Op = configs.GreaterThan
	}
	return arg
}

// setUser makes a process root for the kernel where that knows nobody else, and lets it become its user by the first exec.
// others are the limits of all processes.
func (v *supervision) setUser(p *libcontainer.Process, others []configs.Rlimit) error {
	if !v.oneUser() {
		return nil
	}
	uid, gid, groups := p.UID, p.GID, p.AdditionalGroups
	p.UID, p.GID, p.AdditionalGroups = 0, 0, nil
	if v.listener == nil {
		return nil
	}
	ids := make([]uint32, len(groups))
	for i, g := range groups {
		ids[i] = uint32(g)
	}
	number := v.listener.User(uint32(uid), uint32(gid), ids)
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_LOCKS, &own); err != nil {
		return fmt.Errorf("reading own limits: %w", err)
	}
	if own.Max < number {
		return errors.New("the limit of file locks (ulimit -H -x) is bounded here, and it is what the user of a process is kept in: lift it")
	}
	p.Rlimits = slices.DeleteFunc(slices.Clone(others), func(l configs.Rlimit) bool { return l.Type == unix.RLIMIT_LOCKS })
	p.Rlimits = append(p.Rlimits, configs.Rlimit{Type: unix.RLIMIT_LOCKS, Soft: number, Hard: own.Max})
	return nil
}
