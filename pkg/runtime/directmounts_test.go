package runtime

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/swap"
)

func TestOnlyLinksLetAUserIn(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"closed/linked/cache", "closed/moved/cache", "root/dev", "root/var/cache"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	linked := swap.Mount{Kind: swap.Lent, Source: base + "/closed/linked/cache", Target: "/dev/cache"}
	moved := swap.Mount{Kind: swap.Lent, Source: base + "/closed/moved/cache", Target: "/var/cache"}
	if err := os.Symlink(linked.Source, base+"/root/dev/cache"); err != nil {
		t.Fatal(err)
	}
	open := func(name string) bool {
		st, err := os.Stat(filepath.Join(base, name))
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode()&0o001 != 0
	}
	for uid, want := range map[int]bool{0: false, 1000: true} {
		closed, err := (&Sandbox{Root: base + "/root", UID: uid}).letIn([]swap.Mount{linked, moved})
		if err != nil || open("closed") != want || open("closed/linked") != want || open("closed/moved") {
			t.Errorf("user %d: %v, closed %t, linked %t, moved %t", uid, err, open("closed"), open("closed/linked"), open("closed/moved"))
		}
		if err := closed.restore(); err != nil || open("closed") || open("closed/linked") {
			t.Errorf("user %d: %v, still open", uid, err)
		}
	}
}

// What is secret is never copied, wherever it is shown. Files of a build's own are: some programs want regular files.
func TestWhatStandsForAMount(t *testing.T) {
	memory, err := os.MkdirTemp("/dev/shm", "gbuild-test-")
	if err != nil || !host.InMemory(memory) {
		t.Skipf("there is nothing in memory: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(memory) })
	file, script, socket := memory+"/file", memory+"/script", memory+"/socket"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(os.WriteFile(file, nil, 0o400), os.WriteFile(script, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		source, target  string
		secret          bool
		chroot, inplace swap.Kind
	}{
		{file, "/run/secrets/s", true, swap.Piped, swap.Linked},
		{file, "/dev/s", true, swap.Piped, swap.Linked},
		{script, "/dev/s", true, swap.Piped, swap.Linked},
		{script, "/dev/pipes/EOF", false, swap.Copied, swap.Copied},
		{file, "/dev/gbuild/apt.conf", false, swap.Copied, swap.Linked},
		{socket, "/dev/agent", false, swap.Piped, swap.Linked},
		{memory, "/context", false, swap.Copied, swap.Copied},
	} {
		for isolation, want := range map[host.Isolation]swap.Kind{host.Chroot: test.chroot, host.Inplace: test.inplace} {
			s := &Sandbox{Root: "/proc", Isolation: isolation} // not in memory
			m, err := s.directMount(Mount{Type: "bind", Source: test.source, Target: test.target, ReadOnly: true, Secret: test.secret})
			if err != nil || m.Kind != want {
				t.Errorf("%s: %s on %s: %d, not %d (%v)", isolation, test.source, test.target, m.Kind, want, err)
			}
		}
	}
}
