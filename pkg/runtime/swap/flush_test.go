package swap

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// steps are what was done while everything in a list was shown and taken back.
func (s *scene) steps(t *testing.T, list []Mount, command func()) (steps []string) {
	t.Helper()
	w := New(s.dir, s.root)
	w.before = func(step string) bool {
		steps = append(steps, step)
		return true
	}
	check(t, w.In(context.Background(), list))
	command()
	check(t, w.Out())
	return steps
}

func count(list []string, what string) (n int) {
	for _, word := range list {
		if word == what {
			n++
		}
	}
	return n
}

// Only what a cache needs to outlive the machine's going down waits for the disk.
func TestOnlyCachesWaitForTheDisk(t *testing.T) {
	s := newScene(t)
	idle := func() {}
	near, far := Mount{Kind: Lent, Source: s.caches[0], Target: "/near"}, Mount{Kind: Lent, Source: s.caches[1], Target: "/far"}
	gone := Mount{Kind: Lent, Source: s.caches[2], Target: "/gone"}
	secret, copied := Mount{Kind: Linked, Source: s.base + "/secret", Target: "/secret"}, Mount{Kind: Copied, Source: s.base + "/context", Target: "/context"}
	if steps := s.steps(t, []Mount{secret, copied, {Kind: Empty, Target: "/empty", UID: os.Geteuid(), GID: os.Getegid()}}, idle); count(steps, "journal on the disk") != 0 || count(steps, "journal") == 0 {
		t.Errorf("without a cache: %q", steps)
	}
	if steps := s.steps(t, []Mount{secret, copied, near}, idle); count(steps, "journal on the disk") != 3 { // before it is moved, and with each phase after that
		t.Errorf("with a cache that is moved: %q", steps)
	}
	if steps := s.steps(t, []Mount{near, far, gone}, idle); count(steps, "flush") != 0 {
		t.Errorf("with caches that are not changed: %q", steps)
	}
	var here, there unix.Stat_t
	check(t, errors.Join(unix.Stat(s.base, &here), unix.Stat(s.caches[1], &there)))
	if here.Dev == there.Dev {
		t.Skip("there is no other file system for a cache that is copied")
	}
	steps := s.steps(t, []Mount{far}, func() { files(t, s.root, "far/new", "far/newer") })
	if count(steps, "flush") != 1 || slices.Index(steps, "flush") > slices.Index(steps, "move away") || count(steps, "journal on the disk") != 1 {
		t.Errorf("with a cache that is copied back: %q", steps)
	}
}

// A journal that never reached the disk is none: no cache was moved then.
func TestAnEmptyJournalIsNone(t *testing.T) {
	s := newScene(t)
	before := s.outcome(t)
	check(t, os.Mkdir(s.dir, 0o700))
	check(t, os.WriteFile(s.dir+"/journal", nil, 0o600))
	files(t, s.dir, "in-0/half")
	check(t, Recover(s.dir))
	if err := os.RemoveAll(s.dir + "/journal"); err != nil || s.outcome(t) != before {
		t.Errorf("%v: %s", err, s.outcome(t))
	}
}
