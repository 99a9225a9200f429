package swap

import (
	"os"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

// inOverlay makes the root of a scene one whose directories are those of a lower layer, as the root of a container is.
func inOverlay(t *testing.T) *scene {
	t.Helper()
	base := t.TempDir()
	files(t, base, "lower/tmp/sub/deep/f", "lower/tmp/sub/g", "lower/tmp/h", "lower/tmp/link -> h", "upper/", "work/", "root/", "cache/wheel")
	check(t, os.Chmod(base+"/lower/tmp", 0o1777))
	if err := unix.Mount("overlay", base+"/root", "overlay", 0, "lowerdir="+base+"/lower,upperdir="+base+"/upper,workdir="+base+"/work"); err != nil {
		t.Skipf("cannot mount an overlay here: %v", err)
	}
	t.Cleanup(func() { check(t, unix.Unmount(base+"/root", 0)) })
	files(t, base, "root/tmp/of the command before", "root/tmp/sub/new/n", "root/swap/")
	if err := os.Rename(base+"/root/tmp", base+"/root/moved"); err == nil {
		t.Skip("this overlay moves directories of lower layers")
	}
	return &scene{base: base, root: base + "/root", dir: base + "/root/swap", caches: []string{base + "/cache"},
		list: []Mount{{Kind: Empty, Target: "/tmp"}, {Kind: Lent, Source: base + "/cache", Target: "/tmp/sub"}}}
}

// rooted describes the root of a scene, with what else than times a directory has where they are not asked for: one that was moved in part
// is changed by that.
func (s *scene) rooted(t *testing.T, times bool) string {
	t.Helper()
	text := regexp.MustCompile(`(?m)^0:/swap .*\n`).ReplaceAllString(described(t, s.root), "")
	if times {
		return text
	}
	return regexp.MustCompile(`(?m)(^.* 4\d+ .*) \d+$`).ReplaceAllString(text, "$1")
}

func TestADirectoryOfALowerLayer(t *testing.T) {
	s := inOverlay(t)
	before := s.rooted(t, true)
	steps := s.steps(t, s.list, func() {
		if list, err := os.ReadDir(s.root + "/tmp"); err != nil || len(list) != 1 {
			t.Errorf("shown: %v, %v", list, err)
		}
		files(t, s.root, "tmp/dropped", "tmp/sub/kept")
	})
	if now := s.rooted(t, true); now != before {
		t.Errorf("wanted\n%s\ngot\n%s", before, now)
	}
	if _, err := os.Stat(s.caches[0] + "/kept"); err != nil {
		t.Error(err)
	}
	if n := count(steps, "stash"); n < 10 {
		t.Errorf("%d steps put it aside: %q", n, steps)
	}
}

// Wherever it is killed, recovery brings back what was put aside.
func TestKilledWithADirectoryOfALowerLayer(t *testing.T) {
	for at := 0; ; at++ {
		s := inOverlay(t)
		before := s.rooted(t, false)
		done, _ := task{What: "in", Dir: s.dir, Root: s.root, List: s.list, KillAt: at}.run(t, 0)
		if killed, _ := (task{What: "recover", Dir: s.dir, KillAt: at % 7}).run(t, 0); killed {
			t.Log("recovery was through before it was killed")
		}
		check(t, Recover(s.dir))
		if now := s.rooted(t, false); now != before {
			t.Fatalf("killed at step %d: wanted\n%s\ngot\n%s", at, before, now)
		}
		if done {
			return
		}
	}
}
