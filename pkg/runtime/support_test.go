package runtime

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const plainMounts = "22 1 0:20 / /proc rw - proc proc rw\n23 22 0:21 / /proc/sys/fs/binfmt_misc rw - autofs x rw\n"

// good is a host that can do everything.
func good() facts {
	return facts{uid: 1000, kernel: "6.18.1-generic", mountinfo: plainMounts, cgroupV2: true, controllers: "cpu memory pids", seccomp: true}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(*facts)
		isolation string
		want      string // of the What or Remedy of what is missing
	}{
		{"all", func(*facts) {}, "rootless", ""},
		{"root", func(f *facts) { f.uid = 0 }, "root", ""},
		{"apparmor", func(f *facts) { f.clone, f.apparmor = unix.EPERM, "1" }, "norun", "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"apparmor as root", func(f *facts) { f.uid, f.clone, f.apparmor = 0, unix.EPERM, "1" }, "norun", "seccomp=unconfined"},
		{"debian", func(f *facts) { f.clone, f.unprivileged = unix.EPERM, "0" }, "norun", "kernel.unprivileged_userns_clone=1"},
		{"limit", func(f *facts) { f.clone, f.maxUserns = unix.ENOSPC, "0" }, "norun", "user.max_user_namespaces=15000"},
		{"nested", func(f *facts) { f.clone = unix.ENOSPC }, "norun", "nested"},
		{"docker", func(f *facts) { f.clone = unix.EPERM }, "norun", "seccomp=unconfined"},
		{"no mapper", func(f *facts) { f.mapper = &Missing{What: "newuidmap is not installed"} }, "rootless-single", "newuidmap"},
		{"no subuid", func(f *facts) { f.subordinate = missingSubordinate("/etc/subuid", "ann") }, "rootless-single", "usermod --add-subuids 100000-165535 ann"},
		{"old kernel", func(f *facts) { f.kernel = "5.10.0-30-amd64" }, "norun", "Linux 5.11"},
		{"new enough", func(f *facts) { f.kernel = "5.11.0" }, "rootless", ""},
		{"odd release", func(f *facts) { f.kernel = "x" }, "rootless", ""},
		{"masked proc", func(f *facts) { f.mountinfo += "24 22 0:22 / /proc/kcore rw - tmpfs tmpfs rw\n" }, "norun", "systempaths=unconfined"},
		{"no tun", func(f *facts) { f.tun = unix.EACCES }, "rootless", "--device /dev/net/tun"},
		{"no pair either", func(f *facts) { f.tun, f.pair = unix.EACCES, unix.EPERM }, "rootless", "modprobe -a veth"},
		{"no network namespace", func(f *facts) { f.network = unix.ENOSPC }, "rootless", "user.max_net_namespaces"},
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
		for _, m := range []*Missing{s.UserNamespaces, s.Mapping, s.Subordinate, s.Overlay, s.Proc, s.Network, s.Tun, s.Pair, s.Seccomp, s.Cgroups} {
			if m != nil {
				text = append(text, m.Error()+"|"+m.Hint())
			}
		}
		if none := s.PrivateNetwork() != nil; none != (f.network != nil || f.pair != nil) {
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
