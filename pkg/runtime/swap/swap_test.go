package swap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scene is a root, and what is shown in it.
type scene struct {
	base, root, dir string
	caches          []string // those whose changes come back
	list            []Mount
}

// files are made below a directory: names with a slash at the end are directories, those with an arrow links.
func files(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		link, to, isLink := strings.Cut(name, " -> ")
		at := filepath.Join(dir, link)
		var err error
		switch {
		case isLink:
			err = os.Symlink(to, at)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		default:
			if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
				err = os.WriteFile(at, []byte("this is "+name), 0o640)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// newScene makes a root with a thing of each kind in a place of each kind. The second cache lies on another file system where there
// is one.
func newScene(t *testing.T) *scene {
	t.Helper()
	base, err := os.MkdirTemp("", "swap")
	other, errOther := os.MkdirTemp("/dev/shm", "swap")
	if err = errors.Join(err, errOther); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(os.RemoveAll(base), os.RemoveAll(other)) })
	s := &scene{base: base, root: base + "/root", dir: base + "/swap", caches: []string{base + "/near", other + "/far", base + "/gone"}}
	files(t, s.root, "etc/motd", "root/.cache/pip/image", "root/.cache/pip/sub/more", "var/lib/", "usr/share/x", "opt -> usr/share", "run/", "tmp/old")
	files(t, s.caches[0], "wheel", "http/a/b", "http/c")
	files(t, s.caches[1], "big", "sub/same", "sub/changed", "sub/link -> same")
	files(t, s.caches[2], "x")
	files(t, base, "secret", "context/a", "context/b/c", "script", "read/only")
	check(t, os.Link(s.caches[1]+"/big", s.caches[1]+"/sub/twin"))
	check(t, unix.Setxattr(s.caches[0]+"/wheel", "user.note", []byte("kept"), 0))
	check(t, unix.Chmod(s.caches[0], 0o1770))
	s.list = []Mount{
		{Kind: Lent, Source: s.caches[0], Target: "/root/.cache/pip"},
		{Kind: Lent, Source: s.caches[1], Target: "/var/lib/made/far"},
		{Kind: Lent, Source: s.caches[2], Target: "/opt/gone"}, // through a link of the image
		{Kind: Empty, Target: "/root/.cache/pip/http/tmp", UID: os.Geteuid(), GID: os.Getegid()},
		{Kind: Lent, Source: base + "/read", Target: "/usr/read", ReadOnly: true},
		{Kind: Copied, Source: base + "/context", Target: "/run/context"},
		{Kind: Copied, Source: base + "/script", Target: "/etc/motd"},
		{Kind: Linked, Source: base + "/secret", Target: "/run/secrets/s"},
		{Kind: Piped, Source: base + "/secret", Target: "/run/secrets/piped"},
		{Kind: Empty, Target: "/tmp", UID: os.Geteuid(), GID: os.Getegid()},
	}
	old := time.Unix(1e9, 0)
	for _, dir := range []string{base, other} {
		check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type() != fs.ModeSymlink {
				err = os.Chtimes(name, old, old)
			}
			return err
		}))
	}
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command does what a RUN does: in all that it was shown, and in the root.
func (s *scene) command(t *testing.T) {
	t.Helper()
	for name, want := range map[string]string{"root/.cache/pip/wheel": "this is wheel", "run/secrets/s": "this is secret", "etc/motd": "this is script",
		"run/context/b/c": "this is context/b/c", "usr/share/gone/x": "this is x", "var/lib/made/far/sub/twin": "this is big"} {
		if got, err := os.ReadFile(filepath.Join(s.root, name)); err != nil || string(got) != want {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
	}
	files(t, s.root, "root/.cache/pip/new", "var/lib/made/far/sub/changed", "var/lib/made/far/fresh", "tmp/dropped", "usr/read/dropped", "run/context/dropped",
		"root/.cache/pip/http/tmp/dropped")
	check(t, os.WriteFile(s.root+"/var/lib/made/far/sub/changed", []byte("CHANGED SO THAT ITS SIZE"), 0o640))
	check(t, os.Remove(s.root+"/root/.cache/pip/http/c"))
	check(t, os.RemoveAll(s.root+"/usr/share/gone"))                                          // a mount would refuse that
	check(t, os.Rename(s.root+"/run/context/a", s.root+"/run/secrets/s"))                     // that, too
	check(t, errors.Join(os.Remove(s.root+"/etc/motd"), os.Mkdir(s.root+"/etc/motd", 0o700))) // and that
	files(t, s.root, "usr/share/of the command")
	old := time.Unix(2e9, 0)
	for _, name := range []string{"etc", "usr/share", "usr/share/of the command", "root/.cache/pip", "root/.cache/pip/new", "root/.cache/pip/http", "var/lib/made/far", "var/lib/made/far/sub",
		"var/lib/made/far/sub/changed", "var/lib/made/far/fresh"} {
		check(t, os.Chtimes(filepath.Join(s.root, name), old, old))
	}
}

// described lists everything below the directories: kinds, modes, owners, times, attributes, content, and what are names of one file.
func described(t *testing.T, dirs ...string) string {
	t.Helper()
	var all strings.Builder
	for i, dir := range dirs {
		inodes := map[uint64]string{}
		check(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			var st unix.Stat_t
			inside := fmt.Sprint(i, ":", name[len(dir):])
			if err = cmp.Or(err, unix.Lstat(name, &st)); err != nil {
				fmt.Fprintln(&all, inside, "is missing")
				return nil
			}
			fmt.Fprintf(&all, "%s %o %d:%d %d", inside, st.Mode, st.Uid, st.Gid, st.Size*int64(st.Mode&unix.S_IFREG/unix.S_IFREG))
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFLNK:
				to, _ := os.Readlink(name)
				fmt.Fprintln(&all, "->", to)
				return nil
			case unix.S_IFREG:
				data, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				value := make([]byte, 100)
				n, _ := unix.Getxattr(name, "user.note", value)
				fmt.Fprintf(&all, " %q %q as %s", data, value[:max(n, 0)], cmp.Or(inodes[st.Ino], "itself"))
				inodes[st.Ino] = inside
			}
			if time.Since(time.Unix(st.Mtim.Unix())) < time.Hour && inside == "3:" {
				fmt.Fprintln(&all, " now") // the command has removed the cache, so it is a new one
				return nil
			}
			fmt.Fprintln(&all, "", st.Mtim.Nano())
			return nil
		}))
	}
	return all.String()
}

// outcome is what a root and its caches are, or are to be.
func (s *scene) outcome(t *testing.T) string {
	t.Helper()
	return described(t, append([]string{s.root}, s.caches...)...) + strings.Join(s.leftovers(t), "\n")
}

// leftovers are what nobody needs any more.
func (s *scene) leftovers(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{s.dir + "/*", s.base + "/*.swap-*", filepath.Dir(s.caches[1]) + "/*.swap-*"} {
		found, err := filepath.Glob(pattern)
		check(t, err)
		for _, name := range found {
			names = append(names, filepath.Base(name))
		}
	}
	return names
}

// expectations are the outcomes where the command was executed, and where it was not.
func expectations(t *testing.T) (before, after string) {
	t.Helper()
	s := newScene(t)
	before = s.outcome(t)
	s.apply(t)
	return before, s.outcome(t)
}

// apply shows, executes and takes back, without a crash.
func (s *scene) apply(t *testing.T) {
	t.Helper()
	w := New(s.dir, s.root)
	check(t, w.In(context.Background(), s.list))
	s.command(t)
	check(t, w.Out())
}

func TestWhatIsShownComesBack(t *testing.T) {
	before, after := expectations(t)
	for _, line := range []string{`1:/new 100640`, `2:/fresh 100640`, `"CHANGED SO THAT ITS SIZE"`, `0:/usr/share/of the command`, `0:/etc/motd 100640`, `"kept"`, "2:/sub/twin 100640"} {
		if !strings.Contains(after, line) {
			t.Errorf("there is no %s in\n%s", line, after)
		}
	}
	for _, never := range []string{"dropped", "this is secret", "0:/var/lib/made", "gone/x", "1:/http/c", "swap"} {
		if strings.Contains(after, never) {
			t.Errorf("%s is in\n%s", never, after)
		}
	}
	// What the command has not touched is exactly what it was.
	for _, line := range strings.Split(before, "\n") {
		if strings.HasPrefix(line, "0:/") && !strings.HasPrefix(line, "0:/usr/share ") && !strings.HasPrefix(line, "0:/etc ") && !strings.Contains(after, line) {
			t.Errorf("changed: %s", line)
		}
	}
}

func TestWhatIsUnchangedIsNotCopiedBack(t *testing.T) {
	s := newScene(t)
	var before, now unix.Stat_t
	check(t, unix.Stat(s.caches[1]+"/sub/same", &before))
	s.apply(t)
	check(t, unix.Stat(s.caches[1]+"/sub/same", &now))
	if before.Ino != now.Ino {
		t.Error("a file that the command has not changed was written again")
	}
}

func TestAFailureShowsNothing(t *testing.T) {
	s := newScene(t)
	before := s.outcome(t)
	for _, m := range []Mount{{Kind: Lent, Source: s.base + "/missing", Target: "/x"}, {Kind: Empty, Target: "/etc/motd/below"}, {Kind: Empty, Target: "/"}} {
		if err := New(s.dir, s.root).In(context.Background(), append(s.list[:len(s.list):len(s.list)], m)); err == nil {
			t.Fatalf("%v was shown", m)
		}
		if now := s.outcome(t); now != before {
			t.Errorf("after %v:\n%s", m, now)
		}
	}
}

func TestALinkOnTheWayIsNotFollowed(t *testing.T) {
	s := newScene(t)
	files(t, s.base, "outside/pip/precious")
	w := New(s.dir, s.root)
	check(t, w.In(context.Background(), s.list[:1]))
	check(t, os.Rename(s.root+"/root/.cache", s.root+"/root/moved"))
	check(t, os.Symlink(s.base+"/outside", s.root+"/root/.cache"))
	check(t, w.Out())
	if _, err := os.Stat(s.base + "/outside/pip/precious"); err != nil {
		t.Error("a file outside of the root was touched:", err)
	}
	if list, err := os.ReadDir(s.caches[0]); err != nil || len(list) > 0 {
		t.Errorf("the cache: %v, %v", list, err)
	}
}

// crash runs a scene with kills at random moments: of showing, of taking back, and of up to three recoveries. It says what is wrong
// in the end. The step skip is left out from taking back.
func crash(t *testing.T, random *rand.Rand, byTime bool, skip string, before, after string) string {
	t.Helper()
	s := newScene(t)
	kill := func(what, skip string, sure bool) bool {
		job := task{What: what, Dir: s.dir, Root: s.root, List: s.list, Skip: skip, KillAt: -1}
		var after time.Duration
		switch {
		case sure:
		case byTime:
			after = time.Duration(random.Int64N(int64(25 * time.Millisecond)))
		default:
			job.KillAt = random.IntN(45)
		}
		done, _ := job.run(t, after)
		return done
	}
	want := before
	if kill("in", "", random.IntN(2) == 0) {
		s.command(t)
		want = after
		_ = random.IntN(2) == 0 && kill("out", skip, false)
	}
	for range random.IntN(4) {
		kill("recover", skip, false)
	}
	if !kill("recover", skip, true) {
		return "recovery failed"
	}
	if now := s.outcome(t); now != want {
		return fmt.Sprintf("wanted\n%s\ngot\n%s", want, now)
	}
	return ""
}

// crashes is how many crashes a test makes: a thousand where GBUILD_TEST_CRASHES says so.
func crashes(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("GBUILD_TEST_CRASHES"), "40"))
	check(t, err)
	return n
}

func TestKilledAtAnyMoment(t *testing.T) {
	before, after := expectations(t)
	for i := range crashes(t) {
		if wrong := crash(t, rand.New(rand.NewPCG(1, uint64(i))), i%2 == 1, "", before, after); wrong != "" {
			t.Fatalf("crash %d: %s", i, wrong)
		}
	}
}

// Each step of taking back is needed: without it, some crash ends wrong.
func TestEachStepOfRecoveryIsNeeded(t *testing.T) {
	before, after := expectations(t)
	for _, step := range []string{"take", "unstash", "unmake", "times", "copy back", "replace", "move away", "drop", "forget", "sweep"} {
		t.Run(step, func(t *testing.T) {
			for i := range 30 {
				if crash(t, rand.New(rand.NewPCG(2, uint64(i))), false, step, before, after) != "" {
					return
				}
			}
			t.Errorf("nothing is wrong without %q", step)
		})
	}
}
