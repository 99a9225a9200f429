package layers

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

func read(t testing.TB, v *rootfs.View, name string) string {
	t.Helper()
	f, err := v.Open(name)
	check(t, err)
	defer f.Close()
	var buf [1000]byte
	n, _ := f.Read(buf[:])
	return string(buf[:n])
}

func TestDraftCommitView(t *testing.T) {
	s := newStore(t)
	a, b := keyOf("a"), keyOf("b")
	change(t, s, Key{}, a, func(root string) {
		check(t, os.MkdirAll(root+"/dir/sub", 0o755))
		write(t, root+"/dir/one", "1")
		write(t, root+"/dir/two", "2")
		check(t, os.Symlink("/dir", root+"/link"))
	})
	change(t, s, a, b, func(root string) {
		check(t, os.Remove(root+"/dir/one"))
		write(t, root+"/dir/three", "3")
		check(t, os.Remove(root+"/dir/sub"))
		check(t, os.Mkdir(root+"/dir/sub", 0o700))
	})
	if !s.Has(b) || !s.Has(Key{}) || s.Has(keyOf("c")) {
		t.Error("Has is wrong")
	}
	v, err := s.View(b)
	check(t, err)
	if _, err := v.Lstat("/dir/one"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("/dir/one: %v", err)
	}
	if got := read(t, v, "dir/two") + read(t, v, "/dir/three"); got != "23" {
		t.Errorf("content %q", got)
	}
	real, e, err := v.Resolve("link/../link/./three", true)
	if err != nil || real != "/dir/three" || e.Size != 1 {
		t.Errorf("Resolve: %q %v %v", real, e, err)
	}
	if real, _, err := v.Resolve("link/new/er", true); !errors.Is(err, fs.ErrNotExist) || real != "/dir/new/er" {
		t.Errorf("Resolve of nothing: %q %v", real, err)
	}
	entries, err := v.ReadDir("/dir")
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if strings.Join(names, " ") != "sub three two" {
		t.Errorf("ReadDir: %q", names)
	}
}

// The behaviours that containerd's suite demands of every snapshotter, in our words.
func TestSnapshotter(t *testing.T) {
	tests := map[string]func(t *testing.T, s *Store){
		"TransitivityTest": func(t *testing.T, s *Store) {
			d, err := s.Draft(t.Context(), keyOf("missing"))
			if err == nil {
				d.Discard()
				t.Error("a draft over a missing parent")
			}
		},
		"Remove: a discarded draft leaves nothing": func(t *testing.T, s *Store) {
			d, err := s.Draft(t.Context(), Key{})
			check(t, err)
			write(t, d.Dir()+"/f", "x")
			check(t, d.Discard())
			check(t, d.Discard())
			left, _ := os.ReadDir(s.disk.own("drafts"))
			if len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if d.Commit(t.Context(), keyOf("x")) == nil {
				t.Error("a discarded draft was committed")
			}
		},
		"RemoveDirectoryInLowerLayer": func(t *testing.T, s *Store) {
			change(t, s, Key{}, keyOf("1"), func(r string) { check(t, os.MkdirAll(r+"/lib/a/b", 0o755)); write(t, r+"/lib/a/f", "") })
			change(t, s, keyOf("1"), keyOf("2"), func(r string) { check(t, os.RemoveAll(r+"/lib")) })
			change(t, s, keyOf("2"), keyOf("3"), func(r string) { check(t, os.Mkdir(r+"/lib", 0o755)); write(t, r+"/lib/n", "") })
			wantFiles(t, s, keyOf("3"), "/ /lib /lib/n")
		},
		"FilePermsOfUpperOverLower": func(t *testing.T, s *Store) {
			change(t, s, Key{}, keyOf("1"), func(r string) { check(t, os.Mkdir(r+"/d", 0o755)); write(t, r+"/d/f", "") })
			change(t, s, keyOf("1"), keyOf("2"), func(r string) {
				check(t, os.Chmod(r+"/d", 0o700))
				check(t, unix.Chmod(r+"/d/f", 0o4711))
			})
			v, err := s.View(keyOf("2"))
			check(t, err)
			d, _ := v.Lstat("/d")
			f, _ := v.Lstat("/d/f")
			if d.Mode&0o7777 != 0o700 || f.Mode&0o7777 != 0o4711 {
				t.Errorf("modes %o %o", d.Mode, f.Mode)
			}
		},
		"DirectoryReplacedByFile and back": func(t *testing.T, s *Store) {
			change(t, s, Key{}, keyOf("1"), func(r string) { check(t, os.Mkdir(r+"/x", 0o755)); write(t, r+"/x/in", "") })
			change(t, s, keyOf("1"), keyOf("2"), func(r string) { check(t, os.RemoveAll(r+"/x")); write(t, r+"/x", "file") })
			change(t, s, keyOf("2"), keyOf("3"), func(r string) { check(t, os.Remove(r+"/x")); check(t, os.Mkdir(r+"/x", 0o755)) })
			wantFiles(t, s, keyOf("2"), "/ /x")
			wantFiles(t, s, keyOf("3"), "/ /x")
		},
		"Rename": func(t *testing.T, s *Store) {
			change(t, s, Key{}, keyOf("1"), func(r string) { check(t, os.Mkdir(r+"/x", 0o755)); write(t, r+"/x/in", "") })
			change(t, s, keyOf("1"), keyOf("2"), func(r string) {
				out, err := exec.Command("mv", r+"/x", r+"/y").CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			})
			wantFiles(t, s, keyOf("2"), "/ /y /y/in")
		},
		"Commit of a key that is there keeps the first": func(t *testing.T, s *Store) {
			for _, content := range []string{"first", "second"} {
				d, err := s.Draft(t.Context(), Key{})
				check(t, err)
				write(t, d.Dir()+"/f", content)
				check(t, d.Commit(t.Context(), keyOf("k")))
			}
			v, err := s.View(keyOf("k"))
			check(t, err)
			if got := read(t, v, "/f"); got != "first" {
				t.Errorf("got %q", got)
			}
		},
		"ViewReadonly: the parent does not change": func(t *testing.T, s *Store) {
			change(t, s, Key{}, keyOf("1"), func(r string) { write(t, r+"/f", "old") })
			change(t, s, keyOf("1"), keyOf("2"), func(r string) { write(t, r+"/f", "new") })
			v, err := s.View(keyOf("1"))
			check(t, err)
			if got := read(t, v, "/f"); got != "old" {
				t.Errorf("got %q", got)
			}
		},
		"StatRoot: the root keeps its mode": func(t *testing.T, s *Store) {
			change(t, s, Key{}, keyOf("1"), func(r string) { check(t, os.Chmod(r, 0o711)) })
			change(t, s, keyOf("1"), keyOf("2"), func(r string) { write(t, r+"/f", "") })
			v, err := s.View(keyOf("2"))
			check(t, err)
			if e, _ := v.Lstat("/"); e.Mode&0o7777 != 0o711 {
				t.Errorf("mode %o", e.Mode)
			}
		},
		"128LayersMount": func(t *testing.T, s *Store) {
			k := Key{}
			for i := range 130 {
				d, err := s.Draft(t.Context(), k)
				check(t, err)
				write(t, d.Dir()+"/bottom", strings.Repeat("x", i))
				k = keyOf(strings.Repeat("l", i))
				check(t, d.Commit(t.Context(), k))
			}
			change(t, s, k, keyOf("top"), func(r string) {
				if data, err := os.ReadFile(r + "/bottom"); err != nil || len(data) != 129 {
					t.Errorf("%d %v", len(data), err)
				}
			})
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { inEachWay(t, test) })
	}
}

func wantFiles(t *testing.T, s *Store, k Key, want string) {
	t.Helper()
	v, err := s.View(k)
	check(t, err)
	var names []string
	check(t, v.Walk("/", func(e *rootfs.Entry) error { names = append(names, e.Path); return nil }))
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files of the state: %q, want %q", got, want)
	}
}

func TestCopyUp(t *testing.T) {
	s, old := newStore(t), time.Unix(1e9, 0)
	change(t, s, Key{}, keyOf("1"), func(r string) {
		check(t, os.MkdirAll(r+"/a/b", 0o755))
		check(t, os.Chmod(r+"/a/b", 0o710))
		write(t, r+"/a/b/f", "")
		check(t, os.Chtimes(r+"/a/b", old, old))
		check(t, os.Chtimes(r+"/a", old, old))
	})
	d, err := s.Draft(t.Context(), keyOf("1"))
	check(t, err)
	defer d.Discard()
	check(t, d.CopyUp("/a/b/f"))
	for _, dir := range []string{"/a", "/a/b"} {
		if e, err := d.View().Lstat(dir); err != nil || !e.ModTime.Equal(old) {
			t.Errorf("%s has another time: %v %v", dir, e, err)
		}
	}
	check(t, d.CopyUp("/a/b/new"))
	if err := d.CopyUp("/a/none/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("CopyUp under nothing: %v", err)
	}
	write(t, d.Dir()+"/a/b/new", "new")
	if e, err := d.View().Lstat("/a/b"); err != nil || e.Mode&0o7777 != 0o710 {
		t.Errorf("%v %v", e, err)
	}
	if got := read(t, d.View(), "/a/b/new"); got != "new" {
		t.Errorf("got %q", got)
	}
	if _, err := d.View().Lstat("/a/b/f"); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	hints := map[string]func(dir string){
		"others may write": func(dir string) { check(t, os.Chmod(dir, 0o777)) },
		"format":           func(dir string) { write(t, dir+"/VERSION", "gbuild store 99\n") },
	}
	for want, spoil := range hints {
		dir := filepath.Join(t.TempDir(), "s")
		s, err := Open(dir)
		check(t, err)
		check(t, s.Close())
		spoil(dir)
		_, err = Open(dir)
		var hint interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &hint) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// crash is run in another process, which kills itself in the middle.
func crash(args []string) {
	s, err := Open(args[0])
	if err != nil {
		panic(err)
	}
	d, err := s.Draft(context.Background(), Key{})
	if err != nil {
		panic(err)
	}
	os.WriteFile(d.Dir()+"/f", []byte("whole"), 0o644)
	if args[1] == "draft" {
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	go d.Commit(context.Background(), keyOf("crashed"))
	wait, _ := time.ParseDuration(args[1])
	time.Sleep(wait)
	unix.Kill(os.Getpid(), unix.SIGKILL)
}

func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for _, when := range []string{"draft", "0s", "100us", "300us", "1ms", "2ms", "4ms", "8ms", "20ms"} {
		cmd := exec.Command("/proc/self/exe", "crash", dir, when)
		cmd.Run()
		s, err := Open(dir)
		check(t, err)
		if s.Has(keyOf("crashed")) {
			v, err := s.View(keyOf("crashed"))
			check(t, err)
			if got := read(t, v, "/f"); got != "whole" {
				t.Errorf("%s: committed with %q", when, got)
			}
		}
		if left, _ := filepath.Glob(s.disk.own("drafts") + "/*"); len(left) > 0 {
			t.Errorf("%s: left %v", when, left)
		}
		if leases, _ := os.ReadDir(s.disk.path("leases")); len(leases) > 1 {
			t.Errorf("%s: left %d leases", when, len(leases))
		}
		check(t, s.Close())
		os.RemoveAll(s.disk.own("snapshots", keyOf("crashed").String()))
	}
}

// What was not on the disk when the machine went down is not trusted; the death of a process loses nothing.
func TestUnsyncedAfterAnotherBoot(t *testing.T) {
	s := newStore(t)
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	check(t, d.Commit(t.Context(), keyOf("k")))
	blob, err := s.PutBlob(t.Context(), strings.NewReader("blob"), v1.Hash{})
	check(t, err)
	marks := s.sync.marks()
	if len(marks) != 2 {
		t.Fatalf("marks before the flush: %v", marks)
	}
	found := func() (n int) {
		again, err := Open(s.Dir())
		check(t, err)
		defer again.lease.Close() // as if it were killed: nothing is flushed
		if again.Has(keyOf("k")) {
			n++
		}
		if r, _, err := again.Blob(blob.Digest); err == nil {
			r.Close()
			n++
		}
		return n
	}
	if n := found(); n != 2 {
		t.Errorf("%d of 2 are left for another process", n)
	}
	for _, m := range marks {
		check(t, os.Remove(m.mark))
		check(t, os.Symlink("another boot", m.mark))
	}
	if n := found(); n != 0 {
		t.Errorf("%d that may have lost a part are trusted", n)
	}
	if left := s.sync.marks(); len(left) > 0 {
		t.Errorf("marks of what is gone: %v", left)
	}
}

// A name is given when all that it names is on the disk, also what another process wrote.
func TestFlush(t *testing.T) {
	s := newStore(t)
	other, err := Open(s.Dir())
	check(t, err)
	img, _ := testImage(t, other)
	check(t, s.sync.mark(s.disk.snapshot(keyOf("coming"))))
	check(t, s.Tag("a", img))
	marks := s.sync.marks()
	if len(marks) != 1 || filepath.Base(marks[0].mark) != keyOf("coming").String() {
		t.Errorf("marks after the name was given: %v; want that of what has no name yet", marks)
	}
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	check(t, d.Commit(t.Context(), keyOf("coming")))
	check(t, s.Close())
	if marks = s.sync.marks(); len(marks) > 0 {
		t.Errorf("marks after Close: %v", marks)
	}
	check(t, other.Close())
}

func TestRecords(t *testing.T) {
	s := newStore(t)
	k := keyOf("k")
	for _, kind := range []string{"step", "../../escape", ""} {
		check(t, s.Remember(kind, k, []byte("v1")))
		check(t, s.Remember(kind, k, []byte("v2 "+kind)))
		if got, ok := s.Recall(kind, k); !ok || string(got) != "v2 "+kind {
			t.Errorf("%q: %q %v", kind, got, ok)
		}
	}
	path := s.disk.record("step", k)
	check(t, os.Truncate(path, 33))
	if _, ok := s.Recall("step", k); ok {
		t.Error("a cut record is trusted")
	}
}

// TestPlainUser runs what must work without a namespace as a user without any privilege, on a store with files of others.
func TestPlainUser(t *testing.T) {
	needRoot(t)
	s := newStore(t)
	img, own := testImage(t, s)
	check(t, s.Tag("there", img))
	check(t, s.Remember("fact", own, []byte("yes")))
	check(t, s.Close())
	script(t, s.Dir(), "find . ! -path '*/fs/*' -exec chown 1000:1000 {} +")
	for dir := filepath.Dir(s.Dir()); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	cmd := exec.Command("/proc/self/exe", "plain", s.Dir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func plainUser(dir string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	s, err := Open(dir)
	must(err)
	defer s.Close()
	ctx, own, copied := context.Background(), keyOf("own"), keyOf("copied")
	if _, ok := s.Recall("fact", own); !ok || s.Has(own) {
		panic("the fact is not there, or files that belong to others are")
	}
	_, existed, err := s.Layers(ctx, own, LayerOptions{})
	must(err)
	if !existed {
		panic("the layer was made again")
	}
	d, err := s.Draft(ctx, Key{})
	must(err)
	must(os.WriteFile(d.Dir()+"/f", []byte("x"), 0o644))
	must(unix.Mknod(d.Dir()+"/removed", unix.S_IFCHR, 0))
	must(d.Commit(ctx, copied))
	must(s.Remember("fact", copied, nil))
	img, err := s.Image("there")
	must(err)
	must(s.Tag("here", img))
	if left, _ := os.ReadDir(s.disk.of(lossy, "snapshots")); !rootfs.Lossy() || len(left) != 1 {
		panic("files whose owners may be lost lie among others")
	}
	_, existed, err = s.Layers(ctx, copied, LayerOptions{})
	must(err)
	if _, shared := s.maker.storedAs(LayerOptions{}.kind(), copied, LayerOptions{}); existed || shared {
		panic("layers of such files are for everybody")
	}
	if !s.HasLayers(copied, LayerOptions{}) {
		panic("layers of such files are not found again")
	}
	v, err := s.View(copied)
	must(err)
	must(v.Walk("/", func(e *rootfs.Entry) error { _, err := e.Xattrs(); return err }))
}

// The files of a draft that is kept outlive it, and the state that they stand on outlives a prune that is told of it.
func TestKeptDraft(t *testing.T) {
	s := newStore(t)
	change(t, s, Key{}, keyOf("base"), func(root string) { write(t, root+"/below", "base") })
	dir := filepath.Join(t.TempDir(), "kept")
	for turn := range 2 {
		d, err := s.Draft(t.Context(), keyOf("base"))
		check(t, err)
		check(t, d.KeepIn(dir))
		if turn == 0 {
			write(t, d.Dir()+"/above", "written")
		}
		for name, want := range map[string]string{"/below": "base", "/above": "written"} {
			f, err := d.View().Open(name)
			check(t, err)
			text, err := io.ReadAll(f)
			check(t, errors.Join(err, f.Close()))
			if string(text) != want {
				t.Errorf("turn %d: %s has %q", turn, name, text)
			}
		}
		check(t, d.Discard())
		check(t, s.Close())
		if left, _ := os.ReadDir(filepath.Join(s.Dir(), "drafts")); len(left) > 0 {
			t.Errorf("turn %d: %v are left", turn, left)
		}
		s, err = Open(s.Dir())
		check(t, err)
		_, err = s.Prune(t.Context(), 0, keyOf("base"))
		check(t, err)
	}
	if _, err := s.Prune(t.Context(), 0); err != nil || s.Has(keyOf("base")) {
		t.Error("the state stays though nobody needs it", err)
	}
}
