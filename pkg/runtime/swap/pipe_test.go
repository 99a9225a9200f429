package swap

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A secret that is given by a pipe is on no disk, whoever reads it how often.
func TestASecretIsGivenByAPipe(t *testing.T) {
	s := newScene(t)
	secret := filepath.Join(filepath.Dir(s.caches[1]), "token")
	mode := uint32(0o400)
	if os.Geteuid() != 0 { // who could not write into the pipe
		check(t, os.WriteFile(secret, []byte("s3cret"), 0o400))
		if err := New(s.dir, s.root).In(context.Background(), []Mount{{Kind: Piped, Source: secret, Target: "/token"}}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("a pipe into which nobody can write: %v", err)
		}
		mode = 0o600
		check(t, os.Remove(secret))
	}
	check(t, os.WriteFile(secret, []byte("s3cret"), os.FileMode(mode)))
	before := described(t, s.root)
	for range 2 {
		w := New(s.dir, s.root)
		check(t, w.In(context.Background(), []Mount{{Kind: Piped, Source: secret, Target: "/run/secrets/token"}, {Kind: Piped, Source: secret, Target: "/root/.token"}}))
		var st unix.Stat_t
		check(t, unix.Lstat(s.root+"/run/secrets/token", &st))
		if st.Mode != unix.S_IFIFO|mode {
			t.Errorf("the mode is %o", st.Mode)
		}
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				for _, at := range []string{"/run/secrets/token", "/root/.token"} {
					if got, err := os.ReadFile(s.root + at); err != nil || string(got) != "s3cret" {
						t.Errorf("%s: %q, %v", at, got, err)
					}
				}
			})
			wait.Wait()
		}
		check(t, os.Remove(s.root+"/run/secrets/token"))
		check(t, os.WriteFile(s.root+"/run/secrets/token", []byte("of the command"), 0o600))
		check(t, w.Out())
	}
	if now := described(t, s.root); now != before {
		t.Errorf("the tree has changed:\n%s", now)
	}
	if left := s.leftovers(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	check(t, os.WriteFile(secret+"-large", bytes.Repeat([]byte("x"), pipeSize+1), 0o400))
	if err := New(s.dir, s.root).In(context.Background(), []Mount{{Kind: Piped, Source: secret + "-large", Target: "/large"}}); err == nil {
		t.Error("a secret was taken that a pipe does not hold")
	}
}
