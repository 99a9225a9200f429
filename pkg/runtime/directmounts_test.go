package runtime

import (
	"os"
	"path/filepath"
	"testing"

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
