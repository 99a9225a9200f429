package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runc/libcontainer/capabilities"
	"github.com/opencontainers/runc/libcontainer/seccomp"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

func TestGrant(t *testing.T) {
	all := append(defaultCaps(), "CAP_SYS_ADMIN")
	for _, c := range []struct {
		insecure  bool
		add, drop []string
		want      int
		has       string
	}{
		{false, nil, nil, 14, "CAP_CHOWN"},
		{true, nil, nil, 15, "CAP_SYS_ADMIN"},
		{false, []string{"sys_admin", "CAP_CHOWN"}, nil, 15, "CAP_SYS_ADMIN"},
		{false, nil, []string{"net_raw"}, 13, "CAP_CHOWN"},
		{false, []string{"chown"}, []string{"ALL"}, 1, "CAP_CHOWN"},
		{false, []string{"bogus"}, nil, 0, ""},
		{false, nil, []string{"bogus"}, 0, ""},
	} {
		got, err := grant(all, c.insecure, c.add, c.drop)
		if (err != nil) != (c.has == "") || len(got) != c.want || !strings.Contains(fmt.Sprint(got), c.has) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestHeldCapabilities(t *testing.T) {
	known := capabilities.KnownCapabilities()
	for number, name := range map[int]string{unix.CAP_CHOWN: "CAP_CHOWN", unix.CAP_SETFCAP: "CAP_SETFCAP", unix.CAP_LAST_CAP: "CAP_CHECKPOINT_RESTORE"} {
		if known[number] != name {
			t.Errorf("%s is not at its number %d: %q", name, number, known)
		}
	}
	needEntered(t) // with all of them
	if got := held(known, slices.Clone(known)); !slices.Equal(got, known) {
		t.Errorf("%q", got)
	}
}

func TestLimits(t *testing.T) {
	var own unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &own))
	var said []string
	tell := func(text string) { said = append(said, text) }
	list, err := readUlimits([]string{"nofile=-1", "nproc=unlimited:unlimited", "core=1:2"}, tell)
	must(t, err)
	if text := strings.Join(said, "\n"); !strings.Contains(text, fmt.Sprintf("--ulimit nofile: the command gets %d,", own.Max)) || !strings.Contains(text, "LimitNOFILE=") {
		t.Errorf("%q", said)
	}
	said = nil
	if _, err := readUlimits([]string{"nofile=1", "memlock=0"}, tell); err != nil || len(said) > 0 {
		t.Errorf("nothing was cut: %q, %v", said, err)
	}
	for _, l := range list {
		if l.kind == unix.RLIMIT_NOFILE && (l.soft != own.Max || l.hard != own.Max) {
			t.Errorf("nofile %d:%d, want the own hard limit %d", l.soft, l.hard, own.Max)
		}
		if l.kind == unix.RLIMIT_CORE && l.soft > 1 {
			t.Errorf("core %d", l.soft)
		}
	}
	for _, bad := range []string{"", "nofile", "bogus=1", "nofile=x", "nofile=1:x", "nofile=2:1", "nofile=1:2:3", "nofile=-1:2", "nofile=99999999999999999999"} {
		if _, err := readUlimits([]string{bad}, tell); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestSandboxCheck(t *testing.T) {
	ok := Sandbox{Root: "/r", StateDir: "/s", Args: []string{"x"}}
	must(t, ok.check())
	for name, change := range map[string]func(*Sandbox){
		"command": func(s *Sandbox) { s.Args = nil }, "empty command": func(s *Sandbox) { s.Args = []string{""} },
		"root": func(s *Sandbox) { s.Root = "r" }, "state": func(s *Sandbox) { s.StateDir = "" },
		"directory": func(s *Sandbox) { s.Dir = "x" }, "network": func(s *Sandbox) { s.Network = "bridge" },
		"uid": func(s *Sandbox) { s.UID = -1 }, "gid": func(s *Sandbox) { s.GID = 1<<32 - 1 },
	} {
		s := ok
		change(&s)
		if err := s.check(); err == nil {
			t.Error(name, "was accepted")
		}
	}
	s := Sandbox{Hosts: []HostEntry{{"db", "10.0.0.1"}, {"db6", "::1"}}, Hostname: "h"}
	got, err := hosts(&s)
	if want := "127.0.0.1\tlocalhost h\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n::1\tdb6\n"; err != nil || got != want {
		t.Errorf("%q, want %q (%v)", got, want, err)
	}
	for _, h := range []HostEntry{{"a b", "1.2.3.4"}, {"", "1.2.3.4"}, {"x", "1.2.3"}, {"x\n6.6.6.6 bank", "1.2.3.4"}} {
		if _, err := hosts(&Sandbox{Hosts: []HostEntry{h}}); err == nil {
			t.Errorf("%q was accepted", h)
		}
	}
}

// What is said of this program is what the library can do that compiles filters.
func TestFiltersAreCompiledWhereSaid(t *testing.T) {
	if host.FiltersCalls != seccomp.Enabled {
		t.Errorf("filters are said to be compiled: %v; they are: %v", host.FiltersCalls, seccomp.Enabled)
	}
}
