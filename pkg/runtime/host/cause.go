// This file owns the causes of what is refused here, each with its remedy. Facts decide: an error number alone says nothing, as a
// container, a policy and a setting give the same. It touches nothing.

package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// decideRefusal says why the namespaces that were refused cannot be had; nil where the host is not at fault.
func decideRefusal(f facts) *Missing {
	r := f.refused
	if r == nil {
		return nil
	}
	denied := errors.Is(r, unix.EPERM) || errors.Is(r, unix.EACCES)
	switch {
	case f.noProc:
		return &Missing{What: "there is no /proc here, through which gbuild starts itself anew and maps ids", Remedy: "mount it: mount -t proc proc /proc"}
	case r.tool != "":
		return decideMapper(f)
	case f.chrooted && denied:
		return missingInChroot(f.uid)
	case r.at <= stepClone && f.maxUserns == "0":
		return &Missing{What: "user namespaces are switched off here (user.max_user_namespaces is 0)", Remedy: "run: sudo sysctl -w user.max_user_namespaces=15000"}
	case errors.Is(r, unix.ENOSPC), errors.Is(r, unix.EUSERS):
		return &Missing{What: "too many user namespaces are in use or nested", Remedy: "raise user.max_user_namespaces", Cause: r}
	case r.at == stepMap && f.uid == 0 && denied:
		return decideRootMap(f)
	case !denied && !errors.Is(r, unix.EINVAL):
		return nil
	case f.unprivileged == "0" && f.uid != 0:
		return &Missing{What: "ordinary users may not make user namespaces here", Remedy: "run: sudo sysctl -w kernel.unprivileged_userns_clone=1"}
	case errors.Is(r, unix.EINVAL):
		return &Missing{What: "this kernel has no user namespaces", Remedy: "use a kernel with CONFIG_USER_NS", Cause: r}
	case f.apparmor == "1" && f.uid != 0:
		return &Missing{What: "AppArmor keeps unprivileged programs from using user namespaces",
			Remedy: "run: sudo gbuild setup apparmor --install, or: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"}
	}
	return decidePolicy(f, r)
}

func missingInChroot(uid int) *Missing {
	m := &Missing{What: "this is a chroot, and Linux lets nobody in one make a user namespace", Remedy: "run gbuild outside of the chroot"}
	if uid != 0 {
		m.Remedy += ", or as root in it, who needs none"
	}
	return m
}

// refusedWhat words what could not be done.
var refusedWhat = [...]string{stepNone: "a process", stepClone: "user namespaces cannot be made", stepMap: "the ids of a user namespace cannot be mapped",
	stepMount: "a user namespace can be made, but nothing may be mounted in it"}

// decidePolicy is about what a policy, or a filter of system calls, around this process forbids.
func decidePolicy(f facts, r *refusal) *Missing {
	m := &Missing{What: refusedWhat[r.at] + " here", Cause: r.err}
	switch {
	case f.profile != "" && r.at == stepMount:
		m.What += ": the AppArmor profile " + f.profile + " forbids it"
		m.Remedy = "start gbuild without it: in Docker --security-opt apparmor=unconfined, in Kubernetes appArmorProfile Unconfined"
	case f.container != "" && f.filtered:
		m.What += ": the system call filter of this container forbids it"
		m.Remedy = "in Docker add --security-opt seccomp=unconfined, in Kubernetes seccompProfile Unconfined"
	case f.filtered:
		m.What += ": a system call filter (seccomp) around this process forbids it"
		m.Remedy = "start gbuild without that filter, which a container, a service of systemd (RestrictNamespaces=, SystemCallFilter=) or a sandbox has set"
	default:
		m.Remedy = "a security module or a container around this process forbids it: ask who runs this machine; in Docker add --security-opt seccomp=unconfined --security-opt apparmor=unconfined, in Kubernetes seccompProfile Unconfined"
	}
	return m
}

// capabilityNames are those that map ids.
var capabilityNames = map[int]string{unix.CAP_SETUID: "SETUID", unix.CAP_SETGID: "SETGID", unix.CAP_SETFCAP: "SETFCAP"}

// without lists which of the capabilities are not in a set.
func without(set uint64, wanted ...int) (names []string) {
	for _, c := range wanted {
		if set&(1<<c) == 0 {
			names = append(names, capabilityNames[c])
		}
	}
	return names
}

// mayHave is the remedy for a container that lacks capabilities.
func mayHave(names []string) string {
	return fmt.Sprintf("give them to the container: in Docker --cap-add %s, in Kubernetes securityContext.capabilities.add: [%s]",
		strings.Join(names, " --cap-add "), strings.Join(names, ", "))
}

// decideCovers says what to do about what covers parts of /proc. NVIDIA's runtime covers its part in every container with GPUs, whatever
// that is allowed: root who may mount takes it away there (early.c), and nothing else does.
func decideCovers(covered []string) *Missing {
	m := &Missing{
		What:   "parts of /proc are covered here (" + covered[0] + "), so a sandbox cannot have its own",
		Remedy: "in Docker add --security-opt systempaths=unconfined, in Kubernetes hostUsers: false and procMount: Unmasked",
	}
	if slices.ContainsFunc(covered, func(c string) bool { return Under(c, "/proc/driver") }) {
		m.Remedy = "NVIDIA's runtime covers it in each container with GPUs: run gbuild as root of a privileged container, who takes that away for itself, or in one without GPUs"
	}
	return m
}

// decideRootMap: to map the ids of others root needs three capabilities, of which SETFCAP is asked for since Linux 5.12.
func decideRootMap(f facts) *Missing {
	names := without(f.effective, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETFCAP)
	if len(names) == 0 {
		return decidePolicy(f, f.refused)
	}
	return &Missing{What: "root may not map ids in a user namespace here: it has no CAP_" + strings.Join(names, ", CAP_"),
		Remedy: mayHave(names) + "; or run gbuild as an ordinary user, who needs none"}
}

// decideMapper says why newuidmap or newgidmap did not map the ids.
func decideMapper(f facts) *Missing {
	m := &Missing{What: fmt.Sprintf("%s could not map the subordinate ids (%s)", f.refused.tool, f.refused.said)}
	names := without(f.bounding, unix.CAP_SETUID, unix.CAP_SETGID)
	switch {
	case f.refused.nosuid:
		m.What = f.refused.tool + " lies on a file system that is mounted nosuid, so it has no rights and cannot map the subordinate ids"
		m.Remedy = "mount it without nosuid"
	case len(names) > 0:
		m.What = fmt.Sprintf("%s cannot map the subordinate ids: nothing in this container has CAP_%s", f.refused.tool, strings.Join(names, ", CAP_"))
		m.Remedy = mayHave(names)
	case f.bounding&(1<<unix.CAP_SYS_ADMIN) == 0 && f.refused.setuid:
		m.What = f.refused.tool + " is setuid root, and as such needs CAP_SYS_ADMIN, which root has not in this container"
		m.Remedy = "give the tools capabilities instead, in the image: chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap; setcap cap_setuid=ep /usr/bin/newuidmap; setcap cap_setgid=ep /usr/bin/newgidmap"
	case f.unmapped:
		m.What = "the subordinate ids in /etc/subuid and /etc/subgid are not all in the user namespace around this process"
		m.Remedy = "give ids to the user there that it has (see /proc/self/uid_map), or make the namespace with more of them"
	default:
		m.Remedy = fmt.Sprintf("check that %s is installed setuid root, or with file capabilities, and that the ranges in /etc/subuid and /etc/subgid are the user's own", f.refused.tool)
	}
	return m
}

// decideSingle says why there is but one id.
func decideSingle(f facts) *Missing {
	switch {
	case f.why != nil:
		return f.why
	case f.refused != nil:
		return decideRefusal(f)
	case f.uid == 0:
		return &Missing{What: "the user namespace around this process has but one id", Remedy: "make it with all ids: unshare --map-auto --map-root-user, or podman unshare"}
	case f.noNewPrivs:
		return noNewPrivilegesMissing()
	case f.mapper != nil:
		return f.mapper
	case f.subordinate != nil:
		return f.subordinate
	}
	return &Missing{What: "more than one id could not be mapped", Remedy: "gbuild doctor says more"}
}

func noNewPrivilegesMissing() *Missing {
	return &Missing{What: "no_new_privs is set, so newuidmap can have no rights and map no further ids",
		Remedy: "start gbuild without it: in Kubernetes allowPrivilegeEscalation: true, in Docker without --security-opt no-new-privileges, in systemd NoNewPrivileges=no"}
}

func notRoot() *Missing {
	return &Missing{What: "this is an ordinary user", Remedy: "run gbuild as root; it is not needed: rootless has as many users in the sandbox"}
}

func notRootless() *Missing {
	return &Missing{What: "root has all ids already", Remedy: "leave out --isolation=rootless, or run gbuild as an ordinary user"}
}

// decideNotify says why the system calls of a command cannot be answered by this process, by what came of asking for them.
func decideNotify(scope string, errno syscall.Errno) *Missing {
	switch {
	case scope == "3":
		return &Missing{What: "no process may read another's memory here (kernel.yama.ptrace_scope is 3), and so answer its system calls",
			Remedy: "set kernel.yama.ptrace_scope to 2 or less at the next start of the machine"}
	case errno == unix.EBUSY:
		return &Missing{What: "another program answers the system calls of this one already, as in a RUN of gbuild", Remedy: "run gbuild outside of it"}
	case errno != 0:
		return &Missing{What: "no program may answer system calls here (seccomp user notification)", Remedy: "use Linux 5.14 or newer, and let the filter around gbuild allow the call seccomp", Cause: errno}
	}
	return nil
}
