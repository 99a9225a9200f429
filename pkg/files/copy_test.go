package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

func TestCopyErrors(t *testing.T) {
	tests := []struct {
		name, context, base string
		step                *dockerfile.Copy
		want                []string
	}{
		{"missing", "mkdir sub", "", copyStep("sub/absent.txt", "/x"), []string{`"/sub/absent.txt": not found`}},
		{"missing with --parents", "mkdir a", "", copyStep("a/b", "/x", parents), []string{`"/a/b": not found`}},
		{"missing below a file", "echo>f", "", copyStep("f/g", "/x"), []string{`"/f/g": not found`}},
		{"ignored", "mkdir sub; echo>sub/f; printf '# c\\n\\n**/f\\n'>.dockerignore", "", copyStep("sub/f", "/x"),
			[]string{`"/sub/f": not found`, ".dockerignore:3: **/f"}},
		{"outside", "", "", copyStep("../f", "/x"), []string{`"/f": not found`, "--build-context"}},
		{"directory onto link", "mkdir -p t/lib; echo>t/lib/x", "mkdir usr; ln -s x usr/lib", copyStep("t", "/usr/"), []string{"cannot copy to non-directory: /usr/lib"}},
		{"file onto directory", "mkdir t; echo>t/dir", "mkdir -p opt/dir", copyStep("t", "/opt/"), []string{"directory /opt/dir"}},
		{"directory onto file", "mkdir t", "echo>f", copyStep("t", "/f"), []string{"/f"}},
		{"below a file", "echo>f", "echo>f", copyStep("f", "/f/g"), []string{"/f"}},
		{"octal mode", "echo>f", "", copyStep("f", "/f", chmodTo("64a")), []string{"invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777"}},
		{"large mode", "echo>f", "", copyStep("f", "/f", chmodTo("10000")), []string{"invalid chmod parameter: '10000'. it should be octal"}},
		{"unknown user", "echo>f", "", copyStep("f", "/f", chown("nobody-here")), []string{"nobody-here"}},
		{"names with --link", "echo>f", "", copyStep("f", "/f", chown("app"), linked), []string{"--chown=app", "--link", "numeric"}},
		{"whiteout", "mkdir d; mknod d/w c 0 0", "", copyStep("d", "/d"), []string{"/d/w"}},
		{"loop", "ln -s l l", "", copyStep("l", "/x"), []string{"/l"}},
		{"checksum of a file", "echo>f", "", copyStep("f", "/x", added, func(c *dockerfile.Copy) { c.Checksum = "sha256:00" }), []string{"checksum requires HTTP(S) or Git sources"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newCopyBench(t)
			b.shell(tt.context)
			b.base(tt.base)
			err := b.try(tt.step)
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error()
			var hint interface{ Hint() string }
			if errors.As(err, &hint) {
				text += "\n" + hint.Hint()
			}
			for _, w := range tt.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q does not contain %q", text, w)
				}
			}
		})
	}
}

func TestCopyTimes(t *testing.T) {
	b := newCopyBench(t)
	b.shell("mkdir -p d/sub; echo>d/f; ln -s f d/l; touch -h -d @10 d/l; touch -d @11 d/f; touch -d @12.5 d/sub; touch -d @13 d")
	b.base("mkdir have")
	b.copy("d", "/have")
	b.copy("d", "/new")
	v, _ := b.store.View(b.parent)
	for name, want := range map[string]time.Time{
		"/have": time.Unix(13, 0), "/new": time.Unix(13, 0), "/new/f": time.Unix(11, 0), "/new/l": time.Unix(10, 0), "/have/sub": time.Unix(12, 5e8),
	} {
		if e, err := v.Lstat(name); err != nil || !e.ModTime.Equal(want) {
			t.Errorf("%s: %v, want %v (%v)", name, e.ModTime, want, err)
		}
	}
}

func TestCopySocketBecomesEmptyFile(t *testing.T) {
	b := newCopyBench(t)
	b.shell("mkdir d")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(b.context, "d/s")}); err != nil {
		t.Skip(err)
	}
	os.Chmod(filepath.Join(b.context, "d/s"), 0o755)
	b.copy("d", "/d")
	b.want("d 0755 0:0 /d\nf 0755 0:0 /d/s")
}

func TestCopyFromState(t *testing.T) {
	b := newCopyBench(t)
	b.base("mkdir -p x/d; echo a>x/a; ln x/a x/d/b; ln -s a x/l; chown -h 7:8 x/l; chown 5:6 x/a; chmod 6711 x/a; chmod 2751 x/d; ln -s /x abs; mkdir x/gone")
	b.base("mkdir x; touch x/new; chown 3:3 x; mknod x/gone c 0 0")
	if err := unix.Setxattr(b.file("/x/a"), "user.note", []byte("kept"), 0); err != nil {
		t.Skip(err)
	}
	v, err := b.store.View(b.parent)
	if err != nil {
		t.Fatal(err)
	}
	b.parent = layers.Key{}
	for dest, source := range map[string]string{"/y": "/x", "/z": "abs"} {
		b.step(func(d *layers.Draft) error {
			return CopyInto(t.Context(), d, copyStep(source, dest), ViewTree(v), remote.Fetcher{Store: b.store})
		})
	}
	b.want(`
		d 0755 0:0 /y
		f 6711 5:6 /y/a a
		d 2751 0:0 /y/d
		h 6711 5:6 /y/d/b = /y/a
		l 7:8 /y/l -> a
		f 0644 0:0 /y/new
		d 0755 0:0 /z
		f 6711 5:6 /z/a a
		d 2751 0:0 /z/d
		h 6711 5:6 /z/d/b = /z/a
		l 7:8 /z/l -> a
		f 0644 0:0 /z/new`)
	value := make([]byte, 10)
	if n, err := unix.Getxattr(b.file("/y/a"), "user.note", value); err != nil || string(value[:n]) != "kept" {
		t.Errorf("attribute: %q, %v", value[:max(n, 0)], err)
	}
}

// file returns where a file of the state lies.
func (b *copyBench) file(name string) string {
	b.Helper()
	v, err := b.store.View(b.parent)
	if err != nil {
		b.Fatal(err)
	}
	e, err := v.Lstat(name)
	if err != nil {
		b.Fatal(err)
	}
	return e.Source()
}

func TestMakeDir(t *testing.T) {
	b := newCopyBench(t)
	b.base("mkdir -p srv run var; chmod 700 srv; chown 9:9 srv; ln -s /run var/run; echo>f")
	when := time.Unix(77, 0)
	for _, m := range []*dockerfile.Mkdir{{Path: "/srv/a/b", Time: &when}, {Path: "/var/run/app"}, {Path: "/srv"}, {Path: "/"}} {
		b.step(func(d *layers.Draft) error { m.User = "5:6"; return MakeDir(d, m) })
	}
	b.want(`
		f 0644 0:0 /f
		d 0755 0:0 /run
		d 0755 5:6 /run/app
		d 0700 9:9 /srv
		d 0755 5:6 /srv/a
		d 0755 5:6 /srv/a/b
		d 0755 0:0 /var
		l 0:0 /var/run -> /run`)
	v, _ := b.store.View(b.parent)
	if e, err := v.Lstat("/srv/a"); err != nil || !e.ModTime.Equal(when) {
		t.Errorf("%v %v", e.ModTime, err)
	}
	if err := b.tryStep(func(d *layers.Draft) error { return MakeDir(d, &dockerfile.Mkdir{Path: "/f/x"}) }); err == nil {
		t.Error("a directory below a file was made")
	}
}

func archive(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write([]byte(h.Name))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestAddArchive(t *testing.T) {
	b := newCopyBench(t)
	data := archive(t, &tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o751, Uid: 12, Gid: 34},
		&tar.Header{Name: "bin/x", Typeflag: tar.TypeReg, Mode: 0o4750, Uid: 12, Gid: 34})
	os.WriteFile(filepath.Join(b.context, "things.tar"), data, 0o644)
	os.WriteFile(filepath.Join(b.context, "plain"), []byte("p"), 0o644)
	b.shell("gzip -k things.tar; mkdir dir; cp things.tar dir/")
	b.base("mkdir run var; ln -s /run var/run")
	no := false
	b.copy("things.tar", "/opt/things", added)
	b.copy("things.tar.gz plain", "/var/run/", added, chown("3:3"))
	b.copy("things.tar", "/as-file/", added, func(c *dockerfile.Copy) { c.Unpack = &no })
	b.copy("dir", "/dir", added)
	b.want(`
		d 0755 0:0 /as-file
		f 0644 0:0 /as-file/things.tar
		d 0755 0:0 /dir
		f 0644 0:0 /dir/things.tar
		d 0755 0:0 /opt
		d 0755 0:0 /opt/things
		d 0751 12:34 /opt/things/bin
		f 4750 12:34 /opt/things/bin/x bin/x
		d 0755 0:0 /run
		d 0751 3:3 /run/bin
		f 4750 3:3 /run/bin/x bin/x
		f 0644 3:3 /run/plain p
		d 0755 0:0 /var
		l 0:0 /var/run -> /run`)
}

func TestCopyNoticesChange(t *testing.T) {
	b := newCopyBench(t)
	b.shell("echo one>f")
	c := b.open()
	step := copyStep("f", "/f")
	if _, err := DigestCopy(t.Context(), c.Tree(), step, remote.Fetcher{Store: b.store}); err != nil {
		t.Fatal(err)
	}
	b.shell("echo two>f")
	err := b.tryStep(func(d *layers.Draft) error {
		return CopyInto(t.Context(), d, step, c.Tree(), remote.Fetcher{Store: b.store})
	})
	if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("got %v", err)
	}
}

// TestCopyAsUser copies without any privilege, and without a namespace or in one with a single id.
func TestCopyAsUser(t *testing.T) {
	if !rootfs.Marked() {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for at := dir; at != "/"; at = filepath.Dir(at) {
			if info, err := os.Stat(at); err != nil || info.Mode()&1 == 0 {
				os.Chmod(at, info.Mode()|1)
			}
		}
		binary := filepath.Join(dir, "test")
		self, err := os.ReadFile("/proc/self/exe")
		if err == nil {
			err = os.WriteFile(binary, self, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, where := range []string{outside + "=1", "GBUILD_TEST_INSIDE=1"} {
			cmd := exec.Command(binary, "-test.run=^TestCopyAsUser$", "-test.v")
			cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "PATH=/usr/bin:/bin", where}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", where, err, out)
			}
		}
		return
	}
	store, err := layers.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := OpenContext(t.Context(), dir, ContextOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := store.Draft(t.Context(), layers.Key{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Discard()
	for _, step := range []*dockerfile.Copy{copyStep("f", "/a/f"), copyStep("f", "/b", chown("0:0"), chmodTo("4755")), copyStep("f", "/c", chown("1:2"))} {
		if err := CopyInto(t.Context(), d, step, c.Tree(), remote.Fetcher{Store: store}); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]rootfs.Owner{"/a/f": {}, "/b": {}, "/c": {UID: 1, GID: 2}} {
		n, err := ViewTree(d.View()).Lstat(name)
		if err != nil || n.UID != want.UID || n.GID != want.GID {
			t.Errorf("%s: %+v %v", name, n, err)
		}
	}
}

func BenchmarkCopySmallFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 10000 {
		name := filepath.Join(dir, fmt.Sprint(i%100), fmt.Sprint(i))
		os.MkdirAll(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, make([]byte, 1000), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	store, err := layers.Open(filepath.Join(b.TempDir(), "store"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for b.Loop() {
		c, err := OpenContext(b.Context(), dir, ContextOptions{})
		if err != nil {
			b.Fatal(err)
		}
		d, err := store.Draft(b.Context(), layers.Key{})
		if err != nil {
			b.Fatal(err)
		}
		if err := CopyInto(b.Context(), d, copyStep(".", "/x"), c.Tree(), remote.Fetcher{Store: store}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		d.Discard()
		c.Close()
		b.StartTimer()
	}
}
