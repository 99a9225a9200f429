package host

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const plainMounts = "22 1 0:20 / /proc rw - proc proc rw\n23 22 0:21 / /proc/sys/fs/binfmt_misc rw - autofs x rw\n"

// allCapabilities are those of root.
const allCapabilities = 1<<41 - 1

// good is a host that can do everything.
func good() facts {
	return facts{uid: 1000, kernel: "6.18.1-generic", mountinfo: plainMounts, cgroupV2: true, controllers: "cpu memory pids",
		seccomp: true, bounding: allCapabilities, effective: allCapabilities, tried: tried{Done: true}, ptrace: &Missing{What: "no tracer"},
		lacks: "be tried", marker: &Missing{What: "no mark"}}
}

// refuse says that the namespaces cannot be entered.
func (f *facts) refuse(at step, errno syscall.Errno) {
	f.tried, f.refused = tried{}, &refusal{at: at, err: errno}
}

// defaultContainer is Docker's, with root.
func defaultContainer(f *facts) {
	f.refuse(stepClone, unix.EPERM)
	f.uid, f.container, f.filtered, f.effective, f.lacks = 0, "Docker", true, 0xa80425fb, ""
}

// mapNoMore says that a helper failed, and that there is one id only.
func (f *facts) mapNoMore(r refusal) {
	r.at, r.tool, r.said = stepMap, "newuidmap", "write to uid_map failed"
	f.tried.Single, f.refused = true, &r
}

// Each row is a kind of host.
func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(*facts)
		isolation string
		want      string // of the What or Remedy of what is missing
	}{
		{"all", func(*facts) {}, "rootless", ""},
		{"root", func(f *facts) { f.uid = 0 }, "root", ""},
		{"AppArmor lets nobody clone", func(f *facts) { f.refuse(stepClone, unix.EPERM); f.apparmor = "1" }, "norun", "gbuild setup apparmor"},
		{"Ubuntu 24.04: AppArmor lets nobody mount", func(f *facts) { f.refuse(stepMount, unix.EACCES); f.apparmor = "1" }, "norun", "gbuild setup apparmor"},
		{"a filter lets nobody mount", func(f *facts) { f.refuse(stepMount, unix.EACCES); f.filtered = true }, "norun", "seccomp"},
		{"root, where only users are restricted", func(f *facts) { f.refuse(stepClone, unix.EPERM); f.uid, f.apparmor = 0, "1" }, "norun", "security module"},
		{"old Debian", func(f *facts) { f.refuse(stepClone, unix.EPERM); f.unprivileged = "0" }, "norun", "kernel.unprivileged_userns_clone=1"},
		{"no user namespaces", func(f *facts) { f.refuse(stepClone, unix.ENOSPC); f.maxUserns = "0" }, "norun", "user.max_user_namespaces=15000"},
		{"no user namespaces, root", func(f *facts) { f.tried.Bare, f.uid, f.maxUserns = true, 0, "0" }, "root", "user.max_user_namespaces=15000"},
		{"nested too deep", func(f *facts) { f.refuse(stepClone, unix.ENOSPC) }, "norun", "nested"},
		{"a kernel without", func(f *facts) { f.refuse(stepClone, unix.EINVAL) }, "norun", "CONFIG_USER_NS"},
		{"default container", func(f *facts) { f.refuse(stepClone, unix.EPERM); f.container, f.filtered = "Docker", true }, "norun", "seccomp=unconfined"},
		{"root of a default container", defaultContainer, "chroot", "seccomp=unconfined"},
		{"root of a default container that is gbuild's own", func(f *facts) { defaultContainer(f); f.marker = nil }, "inplace", "seccomp=unconfined"},
		{"root of a container that may do less", func(f *facts) { defaultContainer(f); f.lacks = "make devices" }, "norun", "seccomp=unconfined"},
		{"a user of gbuild's own", func(f *facts) { defaultContainer(f); f.marker, f.uid = nil, 1000 }, "norun", "seccomp=unconfined"},
		{"root of a machine that is no container", func(f *facts) {
			defaultContainer(f)
			f.container, f.effective = "", allCapabilities
		}, "norun", "seccomp"},
		{"root of a container with namespaces", func(f *facts) { f.uid, f.container, f.lacks, f.marker = 0, "Docker", "", nil }, "root", ""},
		{"a container's AppArmor", func(f *facts) { f.refuse(stepMount, unix.EACCES); f.container, f.profile = "Docker", "docker-default" }, "norun", "docker-default forbids it"},
		{"chroot", func(f *facts) { f.refuse(stepClone, unix.EPERM); f.chrooted = true }, "norun", "chroot"},
		{"no /proc", func(f *facts) { f.refuse(stepClone, unix.ENOENT); f.noProc = true }, "norun", "mount -t proc"},
		{"root without SETFCAP", func(f *facts) {
			f.refuse(stepMap, unix.EPERM)
			f.uid, f.effective = 0, allCapabilities&^(1<<unix.CAP_SETFCAP)
		}, "norun", "--cap-add SETFCAP,"},
		{"root without capabilities", func(f *facts) { f.refuse(stepMap, unix.EPERM); f.uid, f.effective = 0, 0 }, "norun", "CAP_SETUID, CAP_SETGID, CAP_SETFCAP"},
		{"no helper", func(f *facts) { f.tried.Single, f.mapper = true, &Missing{What: "newuidmap is not installed"} }, "rootless-single", "newuidmap"},
		{"no_new_privs", func(f *facts) {
			f.tried.Single, f.noNewPrivs, f.mapper = true, true, &Missing{What: "newuidmap is not installed"}
		}, "rootless-single", "allowPrivilegeEscalation"},
		{"no subordinate ids", func(f *facts) { f.tried.Single, f.subordinate = true, missingSubordinate("/etc/subuid", "ann") }, "rootless-single", "usermod --add-subuids 100000-165535 ann"},
		{"a number without an account", func(f *facts) {
			f.tried.Single, f.subordinate = true, missingSubordinate("/etc/subuid", "54321")
		}, "rootless-single", "no account"},
		{"one id around", func(f *facts) { f.tried.Single, f.uid = true, 0 }, "rootless-single", "unshare --map-auto"},
		{"setuid helper in a container", func(f *facts) { f.mapNoMore(refusal{setuid: true}); f.bounding &^= 1 << unix.CAP_SYS_ADMIN }, "rootless-single", "setcap cap_setuid=ep"},
		{"helper without SETUID", func(f *facts) { f.mapNoMore(refusal{setuid: true}); f.bounding = 0 }, "rootless-single", "--cap-add SETUID --cap-add SETGID"},
		{"helper on nosuid", func(f *facts) { f.mapNoMore(refusal{nosuid: true}) }, "rootless-single", "nosuid"},
		{"helper in a namespace with few ids", func(f *facts) { f.mapNoMore(refusal{}); f.unmapped = true }, "rootless-single", "/proc/self/uid_map"},
		{"helper that fails", func(f *facts) { f.mapNoMore(refusal{}) }, "rootless-single", "write to uid_map failed"},
		{"no notification", func(f *facts) { f.tried.Single, f.tried.Notify, f.noNewPrivs = true, unix.EBUSY, true }, "fake", "another program"},
		{"nobody may trace", func(f *facts) { f.tried.Single, f.scope, f.noNewPrivs = true, "3", true }, "fake", "ptrace_scope to 2"},
		{"old kernel", func(f *facts) { f.kernel, f.tried.Mount = "5.10.0-30-amd64", unix.ENOSYS }, "norun", "Linux 5.12"},
		{"nothing can be mounted", func(f *facts) { f.tried.Mount, f.filtered = unix.EACCES, true }, "norun", "system call filter"},
		{"masked proc", func(f *facts) {
			f.mountinfo += "24 22 0:22 / /proc/kcore rw - tmpfs tmpfs rw\n"
			f.tried.Proc = unix.EPERM
		}, "rootless", "systempaths=unconfined"},
		{"a GPU pod, masked besides", func(f *facts) {
			f.mountinfo += "24 22 0:22 / /proc/kcore rw - tmpfs tmpfs rw\n25 22 0:23 / /proc/driver/nvidia ro - tmpfs tmpfs rw\n"
			f.tried.Proc = unix.EPERM
		}, "rootless", "as root of a privileged container"},
		{"no host name", func(f *facts) { f.tried.Hostname = unix.EPERM }, "rootless", "sethostname"},
		{"no tun", func(f *facts) { f.tun = unix.EACCES }, "rootless", "--device /dev/net/tun"},
		{"no pair either", func(f *facts) { f.tun, f.pair = unix.EACCES, unix.EPERM }, "rootless", "modprobe -a veth"},
		{"no network namespace", func(f *facts) { f.tried.Network = unix.ENOSPC }, "rootless", "user.max_net_namespaces"},
		{"no seccomp", func(f *facts) { f.seccomp = false }, "rootless", "-tags seccomp"},
		{"cgroup v1", func(f *facts) { f.cgroupV2 = false }, "rootless", "version 1"},
		{"no delegation", func(f *facts) { f.controllers = "" }, "rootless", "Delegate=yes"},
	} {
		f := good()
		c.change(&f)
		s := decide(f)
		if got := s.Isolation().String(); got != c.isolation {
			t.Errorf("%s: isolation %s, want %s", c.name, got, c.isolation)
		}
		var text []string
		for _, m := range []*Missing{s.UserNamespaces, s.OwnUsers, s.Mapping, s.Notify, s.Proc, s.Hostname, s.Network, s.Tun, s.Pair, s.Seccomp, s.Cgroups} {
			if m != nil {
				text = append(text, m.Error()+"|"+m.Hint())
			}
		}
		if none := s.PrivateNetwork() != nil; none != (f.tried.Network != 0 || f.pair != nil) {
			t.Errorf("%s: without a private network: %v", c.name, none)
		}
		if got := strings.Join(text, ";"); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q is not in %q", c.name, c.want, got)
		}
	}
}

func TestProbeHere(t *testing.T) {
	s := Probe()
	if Entered() && s.UserNamespaces != nil {
		t.Error(s.UserNamespaces)
	}
	if s.Isolation().String() == "" {
		t.Error("no isolation")
	}
}

func TestMissing(t *testing.T) {
	m := &Missing{What: "no x", Remedy: "get x", Cause: unix.EPERM}
	err := fmt.Errorf("doing: %w", m)
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || hint.Hint() != "get x" || !errors.Is(err, unix.EPERM) || err.Error() != "doing: no x: operation not permitted" {
		t.Error(err)
	}
}
