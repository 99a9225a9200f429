package pipcache

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
)

func open(t *testing.T) *Caches {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "caches"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mine are options with this user as owner, so that the tests need no rights.
func mine() Options { return Options{UID: os.Getuid(), GID: os.Getgid()} }

func acquire(t *testing.T, c *Caches, id string, s Sharing, o Options) *Lease {
	t.Helper()
	l, err := c.Acquire(context.Background(), id, s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release() })
	return l
}

func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !strings.Contains(hint.Of(err), "chmod") {
		t.Errorf("Open of a directory for all: %v", err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), "cache directory "+file) {
		t.Errorf("Open of a file: %v", err)
	}
	if os.Getuid() != 0 {
		return
	}
	other := t.TempDir()
	if err := os.Chown(other, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "it belongs to user 12345") {
		t.Errorf("Open of another's directory: %v", err)
	}
}

func TestCacheOutlivesItsLease(t *testing.T) {
	c := open(t)
	l := acquire(t, c, "pip", Shared, mine())
	put(t, l.Dir(), "a", []byte("kept"))
	info, err := os.Stat(l.Dir())
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v; want 0755", info.Mode(), err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Errorf("second Release: %v", err)
	}
	again := acquire(t, c, "pip", Locked, mine())
	if got, err := os.ReadFile(filepath.Join(again.Dir(), "a")); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatNamesACache(t *testing.T) {
	owned := func(uid, gid int) Options { return Options{UID: uid, GID: gid, OwnerGiven: true} }
	all := []Identity{
		newIdentity("a", Options{}), newIdentity("b", Options{}), newIdentity("a", Options{Scope: "x"}), newIdentity("", Options{Scope: "a"}),
		newIdentity("a", owned(0, 0)), newIdentity("a", owned(1, 0)), newIdentity("a", owned(0, 1)), newIdentity("a", Options{Mode: 0o700}),
		newIdentity("../../etc", Options{}),
	}
	seen := map[string]Identity{}
	for _, m := range all {
		name := m.Key()
		if other, ok := seen[name]; ok {
			t.Errorf("%+v and %+v share %s", m, other, name)
		}
		if !keyGrammar().MatchString(name) {
			t.Errorf("%q is no safe name", name)
		}
		seen[name] = m
	}
	if newIdentity("a", Options{UID: 7}).Key() != newIdentity("a", Options{}).Key() {
		t.Error("an owner that was not given names the cache")
	}
}

func TestOwnerAndMode(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("giving files away needs root")
	}
	c := open(t)
	l := acquire(t, c, "pip", Shared, Options{UID: 1000, GID: 1001, OwnerGiven: true, Mode: 0o2770})
	var st syscall.Stat_t
	if err := syscall.Stat(l.Dir(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 1000 || st.Gid != 1001 || st.Mode&0o7777 != 0o2770 {
		t.Errorf("%d:%d %o", st.Uid, st.Gid, st.Mode&0o7777)
	}
}

func TestSharing(t *testing.T) {
	c := open(t)
	t.Run("shared at once", func(t *testing.T) {
		a, b := acquire(t, c, "s", Shared, mine()), acquire(t, c, "s", Shared, mine())
		if a.Dir() != b.Dir() {
			t.Errorf("%s and %s", a.Dir(), b.Dir())
		}
	})
	t.Run("private apart, then used again", func(t *testing.T) {
		a, b := acquire(t, c, "p", Private, mine()), acquire(t, c, "p", Private, mine())
		if a.Dir() == b.Dir() {
			t.Error("one directory for two builds")
		}
		free := b.Dir()
		_ = b.Release()
		if d := acquire(t, c, "p", Private, mine()); d.Dir() != free {
			t.Errorf("%s, want the idle %s", d.Dir(), free)
		}
	})
	t.Run("locked waits", func(t *testing.T) {
		a := acquire(t, c, "l", Locked, mine())
		o := mine()
		var told []string
		o.Waiting = func(holder string) {
			told = append(told, holder)
			_ = a.Release()
		}
		if b := acquire(t, c, "l", Locked, o); b.Dir() != a.Dir() {
			t.Errorf("%s, want %s", b.Dir(), a.Dir())
		}
		if len(told) != 1 || told[0] != fmt.Sprintf("another step of this build (process %d)", os.Getpid()) {
			t.Errorf("waiting was told %q", told)
		}
	})
	t.Run("locked waits for those that share", func(t *testing.T) {
		a := acquire(t, c, "w", Shared, mine())
		o := mine()
		told := ""
		o.Waiting = func(holder string) {
			told = holder
			_ = a.Release()
		}
		acquire(t, c, "w", Locked, o)
		if told != fmt.Sprintf("another step of this build (process %d)", os.Getpid()) {
			t.Errorf("waiting was told %q", told)
		}
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		acquire(t, c, "c", Locked, mine())
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := c.Acquire(ctx, "c", Shared, mine()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire: %v", err)
		}
	})
	if _, err := c.Acquire(context.Background(), "x", "odd", mine()); err == nil {
		t.Error("unknown sharing is accepted")
	}
}

func TestSeedFillsOnlyNewCaches(t *testing.T) {
	c := open(t)
	o := mine()
	seeds := 0
	o.Seed = func(dir string) error {
		if seeds++; seeds == 1 {
			put(t, dir, "half", nil)
			return errors.New("broken")
		}
		put(t, dir, "seed", []byte("x"))
		return os.Chmod(dir, 0o711)
	}
	if _, err := c.Acquire(context.Background(), "a", Shared, o); err == nil {
		t.Fatal("no error from the seed")
	}
	l := acquire(t, c, "a", Shared, o)
	if _, err := os.Stat(filepath.Join(l.Dir(), "half")); err == nil {
		t.Error("the half-made cache was kept")
	}
	if info, _ := os.Stat(l.Dir()); info.Mode().Perm() != 0o711 {
		t.Errorf("mode %v, want that of the seed", info.Mode())
	}
	_ = l.Release()
	acquire(t, c, "a", Locked, o)
	if seeds != 2 {
		t.Errorf("%d seeds, want 2", seeds)
	}
}

// wheel makes a small wheel; tags are lines of its WHEEL file.
func wheel(t *testing.T, info string, lines ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string]string{"pkg/__init__.py": "", info + "/METADATA": "Name: x\n", info + "/WHEEL": strings.Join(lines, "\n")} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestListNamesWheels(t *testing.T) {
	c := open(t)
	l := acquire(t, c, "/root/.cache/pip", Shared, mine())
	body := wheel(t, "Nvidia_cublas.cu12-12.1.3.dist-info", "Wheel-Version: 1.0", "Tag: py3-none-manylinux1_x86_64", "Tag: py3-none-manylinux2014_x86_64")
	put(t, l.Dir(), "http-v2/a/b/c/d/e/abcde1.body", body)
	put(t, l.Dir(), "http-v2/a/b/c/d/e/abcde1", []byte("msgpack"))
	put(t, l.Dir(), "http-v2/a/b/c/d/f/abcdf1.body", []byte("<html>an index page</html>"))
	framed := append([]byte("cc=4,\x83body\xc6"), wheel(t, "six-1.16.0.dist-info", "Build: 2", "Tag: py2-none-any", "Tag: py3-none-any")...)
	put(t, l.Dir(), "http/a/b/c/d/e/abcde2", append(framed, []byte("headers and so on")...))
	put(t, l.Dir(), "wheels/ab/cd/ef/apex-0.1-cp311-cp311-linux_x86_64.whl", []byte("zip"))
	put(t, l.Dir(), "archive-v0/xyz/rich-13.0.dist-info/METADATA", nil)
	if err := syscall.Mkfifo(filepath.Join(l.Dir(), "http-v2/fifo.body"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(l.Dir(), "http-v2/link.body")); err != nil {
		t.Fatal(err)
	}
	all, err := c.List()
	if err != nil || len(all) != 1 {
		t.Fatalf("List: %v, %v", all, err)
	}
	var got []string
	for _, w := range all[0].Wheels {
		got = append(got, w.Name+" "+w.Version+" "+w.File)
	}
	want := []string{
		"apex 0.1 apex-0.1-cp311-cp311-linux_x86_64.whl",
		"nvidia-cublas-cu12 12.1.3 Nvidia_cublas.cu12-12.1.3-py3-none-manylinux1_x86_64.manylinux2014_x86_64.whl",
		"rich 13.0 ",
		"six 1.16.0 six-1.16.0-2-py2.py3-none-any.whl",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("wheels:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !all[0].Busy || all[0].ID != "/root/.cache/pip" || time.Since(all[0].LastUsed) > time.Minute {
		t.Errorf("%+v", all[0])
	}
}

func TestSizeCountsHardLinksOnce(t *testing.T) {
	c := open(t)
	l := acquire(t, c, "a", Shared, mine())
	put(t, l.Dir(), "big", make([]byte, 1<<20))
	before, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(l.Dir(), "big"), filepath.Join(l.Dir(), "again")); err != nil {
		t.Fatal(err)
	}
	after, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	if after[0].Size != before[0].Size || after[0].Size < 1<<20 {
		t.Errorf("%d, then %d", before[0].Size, after[0].Size)
	}
}

func TestUsageSeesWhatIsNew(t *testing.T) {
	c := open(t)
	l := acquire(t, c, "a", Shared, mine())
	put(t, l.Dir(), "wheels/old-1-py3-none-any.whl", make([]byte, 100_000))
	_ = l.Release()
	time.Sleep(20 * time.Millisecond)
	l = acquire(t, c, "a", Shared, mine())
	put(t, l.Dir(), "wheels/new-2-py3-none-any.whl", make([]byte, 10_000))
	u, err := l.Usage()
	if err != nil || u.Files != 1 || u.Bytes < 10_000 || u.Bytes > 50_000 || len(u.Wheels) != 1 || u.Wheels[0].Name != "new" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestRemove(t *testing.T) {
	c := open(t)
	for _, id := range []string{"pip-a", "pip-b", "apt"} {
		l := acquire(t, c, id, Shared, mine())
		put(t, l.Dir(), "x/y", make([]byte, 100_000))
		if id == "pip-a" {
			if err := os.Chmod(filepath.Join(l.Dir(), "x"), 0); err != nil {
				t.Fatal(err)
			}
		}
		_ = l.Release()
	}
	ctx := context.Background()
	var unknown *UnknownError
	if _, err := c.Remove(ctx, "pip"); !errors.As(err, &unknown) || len(unknown.Means) != 2 {
		t.Errorf("ambiguous: %v", err)
	}
	if _, err := c.Remove(ctx, "pip-a", "npm"); !errors.As(err, &unknown) || !strings.Contains(unknown.Hint(), "apt") {
		t.Errorf("unknown: %v", err)
	}
	held := acquire(t, c, "pip-b", Shared, mine())
	var busy *BusyError
	if _, err := c.Remove(ctx, "apt", "pip-b"); !errors.As(err, &busy) {
		t.Errorf("busy: %v", err)
	}
	if all, _ := c.List(); len(all) != 3 {
		t.Errorf("%d caches after refusals, want 3", len(all))
	}
	_ = held.Release()
	if freed, err := c.Remove(ctx, "pip-a", "ap"); err != nil || freed < 100_000 {
		t.Errorf("freed %d, %v", freed, err)
	}
	all, err := c.List()
	if err != nil || len(all) != 1 || all[0].ID != "pip-b" {
		t.Errorf("left: %+v, %v", all, err)
	}
	left, err := os.ReadDir(c.dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	c := open(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				l, err := c.Acquire(context.Background(), "a", []Sharing{Shared, Private}[n%2], mine())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(l.Dir()); err != nil {
					t.Errorf("leased, and not there: %v", err)
				}
				_ = l.Release()
				_, _ = c.Remove(context.Background(), "a")
			}
		}()
	}
	wg.Wait()
}

// TestKilledHolder runs this test again as a process that holds a cache, and kills it.
func TestKilledHolder(t *testing.T) {
	if dir := os.Getenv("PIPCACHE_HOLD"); dir != "" {
		c, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		acquire(t, c, "a", Locked, mine())
		_, _ = os.Stdout.WriteString("held\n")
		time.Sleep(time.Minute)
		return
	}
	c := open(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledHolder$")
	cmd.Env = append(os.Environ(), "PIPCACHE_HOLD="+c.Dir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	o := mine()
	waited := false
	o.Waiting = func(string) {
		waited = true
		_ = cmd.Process.Kill()
	}
	acquire(t, c, "a", Locked, o)
	if !waited {
		t.Error("the other process did not hold the cache")
	}
}
