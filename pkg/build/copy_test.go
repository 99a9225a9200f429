package build

import (
	"archive/tar"
	"bytes"

	"crypto/sha256"
	"errors"
	"fmt"

	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// copyBench copies from a directory into drafts of a store.
type copyBench struct {
	*testing.T
	store   *layers.Store
	context string
	parent  layers.Key
}

func newCopyBench(t *testing.T) *copyBench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners can only be set by root")
	}
	unix.Umask(0o022)
	store, err := layers.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &copyBench{T: t, store: store, context: t.TempDir()}
}

// shell runs a script in the context.
func (b *copyBench) shell(script string) {
	b.Helper()
	b.shellIn(b.context, script)
}

func (b *copyBench) shellIn(dir, script string) {
	b.Helper()
	cmd := exec.Command("/bin/sh", "-euc", "umask 022\n"+script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// base makes the state that copies go onto.
func (b *copyBench) base(script string) {
	b.Helper()
	b.step(func(d *layers.Draft) error { b.shellIn(d.Dir(), script); return nil })
}

func (b *copyBench) step(f func(d *layers.Draft) error) {
	b.Helper()
	if err := b.tryStep(f); err != nil {
		b.Fatal(err)
	}
}

func (b *copyBench) tryStep(f func(d *layers.Draft) error) error {
	b.Helper()
	d, err := b.store.Draft(b.Context(), b.parent)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Discard()
	if err := f(d); err != nil {
		return err
	}
	key := layers.Key(sha256.Sum256(append(b.parent[:], d.Dir()...)))
	if err := d.Commit(b.Context(), key); err != nil {
		b.Fatal(err)
	}
	b.parent = key
	return nil
}

func (b *copyBench) open() *Context {
	b.Helper()
	c, err := OpenContext(b.Context(), b.context, ContextOptions{StateDir: b.store.Dir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func (b *copyBench) try(c *dockerfile.Copy) error {
	b.Helper()
	tree := b.open().Tree()
	return b.tryStep(func(d *layers.Draft) error {
		return copyInto(b.Context(), d, c, tree, copyOptions{Store: b.store})
	})
}

func (b *copyBench) copy(sources, dest string, change ...func(*dockerfile.Copy)) {
	b.Helper()
	if err := b.try(copyStep(sources, dest, change...)); err != nil {
		b.Fatalf("COPY %s %s: %v", sources, dest, err)
	}
}

func copyStep(sources, dest string, change ...func(*dockerfile.Copy)) *dockerfile.Copy {
	c := &dockerfile.Copy{Sources: strings.Fields(sources), Dest: dest}
	for _, f := range change {
		f(c)
	}
	return c
}

func chown(s string) func(*dockerfile.Copy)      { return func(c *dockerfile.Copy) { c.Chown = s } }
func chmodTo(s string) func(*dockerfile.Copy)    { return func(c *dockerfile.Copy) { c.Chmod = s } }
func exclude(s ...string) func(*dockerfile.Copy) { return func(c *dockerfile.Copy) { c.Exclude = s } }
func parents(c *dockerfile.Copy)                 { c.Parents = true }
func linked(c *dockerfile.Copy)                  { c.Link = true }
func added(c *dockerfile.Copy)                   { c.Add = true }

// want compares the state with lines as in the goldens of the conformance cases: TYPE MODE UID:GID PATH [TEXT|-> TARGET].
func (b *copyBench) want(text string) {
	b.Helper()
	v, err := b.store.View(b.parent)
	if err != nil {
		b.Fatal(err)
	}
	wantTree(b.T, v, text)
}

func wantTree(t *testing.T, v *layers.View, text string) {
	t.Helper()
	var got []string
	names := map[uint64]string{}
	err := v.Walk("/", func(e *layers.Entry) error {
		if e.Path != "/" {
			got = append(got, describe(t, e, names))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func describe(t *testing.T, e *layers.Entry, names map[uint64]string) string {
	kind, rest := "?", ""
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		kind = "d"
	case unix.S_IFLNK:
		return fmt.Sprintf("l %d:%d %s -> %s", e.UID, e.GID, e.Path, e.Link)
	case unix.S_IFIFO:
		kind = "p"
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFREG:
		kind = "f"
		data, err := os.ReadFile(e.Source())
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < 40 {
			rest = " " + strings.TrimSuffix(string(data), "\n")
		}
		if first := names[e.Ino]; first != "" && e.Nlink > 1 {
			kind, rest = "h", " = "+first
		}
		names[e.Ino] = e.Path
	}
	return strings.TrimRight(fmt.Sprintf("%s %04o %d:%d %s%s", kind, e.Mode&0o7777, e.UID, e.GID, e.Path, rest), " ")
}

func TestCopyForms(t *testing.T) {
	tests := []struct {
		name, context, base string
		copy                func(b *copyBench)
		want                string
	}{
		{"contents of directories", "mkdir -p dir/sub dir/empty; chmod 701 dir/empty; echo f>dir/file; echo d>dir/sub/deep; echo h>dir/.h", "",
			func(b *copyBench) { b.copy("dir", "/a"); b.copy("dir/", "/b/"); b.copy("dir/sub dir/file", "/d/") }, `
			d 0755 0:0 /a
			f 0644 0:0 /a/.h h
			d 0701 0:0 /a/empty
			f 0644 0:0 /a/file f
			d 0755 0:0 /a/sub
			f 0644 0:0 /a/sub/deep d
			d 0755 0:0 /b
			f 0644 0:0 /b/.h h
			d 0701 0:0 /b/empty
			f 0644 0:0 /b/file f
			d 0755 0:0 /b/sub
			f 0644 0:0 /b/sub/deep d
			d 0755 0:0 /d
			f 0644 0:0 /d/deep d
			f 0644 0:0 /d/file f`},
		{"slashes of the destination", "echo x>file; mkdir dir; echo y>dir/x", "mkdir srv opt",
			func(b *copyBench) {
				b.copy("file", "/new")
				b.copy("file", "/newdir/")
				b.copy("file", "/srv")
				b.copy("file", "/opt/.")
				b.copy("file", "/deep/er/name")
				b.copy("dir", "/made/without")
			}, `
			d 0755 0:0 /deep
			d 0755 0:0 /deep/er
			f 0644 0:0 /deep/er/name x
			d 0755 0:0 /made
			d 0755 0:0 /made/without
			f 0644 0:0 /made/without/x y
			f 0644 0:0 /new x
			d 0755 0:0 /newdir
			f 0644 0:0 /newdir/file x
			d 0755 0:0 /opt
			f 0644 0:0 /opt/file x
			d 0755 0:0 /srv
			f 0644 0:0 /srv/file x`},
		{"dangling links as destination", "echo 1 >one", "mkdir d etc; ln -s /nowhere/yet d/abs; ln -s ../../../etc/made d/up; ln -s newdir d/dir",
			func(b *copyBench) { b.copy("one", "/d/abs"); b.copy("one", "/d/up"); b.copy("one", "/d/dir/") }, `
			d 0755 0:0 /d
			l 0:0 /d/abs -> /nowhere/yet
			l 0:0 /d/dir -> newdir
			d 0755 0:0 /d/newdir
			f 0644 0:0 /d/newdir/one 1
			l 0:0 /d/up -> ../../../etc/made
			d 0755 0:0 /etc
			f 0644 0:0 /etc/made 1
			d 0755 0:0 /nowhere
			f 0644 0:0 /nowhere/yet 1`},
		{"existing directories", "mkdir -p t/both t/yours; echo new>t/both/clash; echo f>t/yours/f; chmod 705 t/both; chmod 711 t",
			"mkdir -p t/both t/mine; echo keep>t/both/keep; echo old>t/both/clash; chown -R 7:8 t; chmod -R 770 t",
			func(b *copyBench) { b.copy("t", "/t") }, `
			d 0770 7:8 /t
			d 0705 0:0 /t/both
			f 0644 0:0 /t/both/clash new
			f 0770 7:8 /t/both/keep keep
			d 0770 7:8 /t/mine
			d 0755 0:0 /t/yours
			f 0644 0:0 /t/yours/f f`},
		{"wildcards", "mkdir -p d1/n d2; echo f1>f1; echo a>d1/same; echo x>d1/n/x; echo b>d2/same; ln -s f1 l1; ln -s d1/n l2", "",
			func(b *copyBench) {
				b.copy("*", "/all/")
				b.copy("*/*", "/below/")
				b.copy("none*", "/none/")
				b.copy("f[0-9] no-such-*.txt", "/some/")
			}, `
			d 0755 0:0 /all
			f 0644 0:0 /all/f1 f1
			f 0644 0:0 /all/l1 f1
			d 0755 0:0 /all/n
			f 0644 0:0 /all/n/x x
			f 0644 0:0 /all/same b
			f 0644 0:0 /all/x x
			d 0755 0:0 /below
			f 0644 0:0 /below/same b
			f 0644 0:0 /below/x x
			d 0755 0:0 /some
			f 0644 0:0 /some/f1 f1`},
		{"links", "mkdir -p real t/dir; echo f>real/f; ln -s real/f a; ln -s /real b; ln -s ../../../../real/f c; ln -s /etc/passwd t/abs; ln -s loop t/loop; ln -s dir t/to-dir", "",
			func(b *copyBench) {
				b.copy("a", "/a")
				b.copy("b/f", "/b")
				b.copy("c", "/c/")
				b.copy("b", "/d")
				b.copy("t", "/t")
				b.copy("../../real/./f", "/e")
			}, `
			f 0644 0:0 /a f
			f 0644 0:0 /b f
			d 0755 0:0 /c
			f 0644 0:0 /c/c f
			d 0755 0:0 /d
			f 0644 0:0 /d/f f
			f 0644 0:0 /e f
			d 0755 0:0 /t
			l 0:0 /t/abs -> /etc/passwd
			d 0755 0:0 /t/dir
			l 0:0 /t/loop -> loop
			l 0:0 /t/to-dir -> dir`},
		{"chown", "echo f>file; mkdir -p tree/a; echo b>tree/a/b; ln -s b tree/a/l",
			"mkdir etc; printf 'app:x:100:101::/:/bin/sh\\nroot:x:0:0::/:/bin/sh\\n'>etc/passwd; printf 'audio:x:29:\\n'>etc/group; chmod 700 etc",
			func(b *copyBench) {
				b.copy("file", "/x/one", chown("1000"))
				b.copy("file", "/x/both", chown("1000:2000"))
				b.copy("file", "/x/group", chown(":3000"))
				b.copy("file", "/x/name", chown("app"))
				b.copy("file", "/x/mixed", chown("app:audio"))
				b.copy("file", "/x/known", chown("100"))
				b.copy("file", "/x/gname", chown(":audio"))
				b.copy("tree", "/y/z", chown("4:5"))
			}, `
			d 0700 0:0 /etc
			f 0644 0:0 /etc/group audio:x:29:
			f 0644 0:0 /etc/passwd
			d 0755 1000:1000 /x
			f 0644 1000:2000 /x/both f
			f 0644 0:29 /x/gname f
			f 0644 0:3000 /x/group f
			f 0644 100:100 /x/known f
			f 0644 100:29 /x/mixed f
			f 0644 100:101 /x/name f
			f 0644 1000:1000 /x/one f
			d 0755 4:5 /y
			d 0755 4:5 /y/z
			d 0755 4:5 /y/z/a
			f 0644 4:5 /y/z/a/b b
			l 4:5 /y/z/a/l -> b`},
		{"chmod", "echo f>file; mkdir -p tree/dir; echo x>tree/tool; chmod 744 tree/tool; chmod 711 tree/dir", "",
			func(b *copyBench) {
				b.copy("file", "/p1/p2/file", chmodTo("0640"), chown("9"))
				b.copy("file", "/p3/file", chmodTo("u=rw,go="))
				b.copy("file", "/suid", chmodTo("4711"))
				b.copy("tree", "/t", chmodTo("0750"))
				b.copy("tree", "/u", chmodTo("u=rwX,go=rX"))
				b.copy("tree", "/v", chmodTo("g=u,o="))
			}, `
			d 0640 9:9 /p1
			d 0640 9:9 /p1/p2
			f 0640 9:9 /p1/p2/file f
			d 0755 0:0 /p3
			f 0600 0:0 /p3/file f
			f 4711 0:0 /suid f
			d 0750 0:0 /t
			d 0750 0:0 /t/dir
			f 0750 0:0 /t/tool x
			d 0755 0:0 /u
			d 0755 0:0 /u/dir
			f 0755 0:0 /u/tool x
			d 0755 0:0 /v
			d 0770 0:0 /v/dir
			f 0770 0:0 /v/tool x`},
		{"exclude", "mkdir -p app/sub/deep app/tmp; echo m>app/main; echo l>app/top.log; echo l>app/sub/low.log; echo k>app/sub/keep; echo k>app/sub/deep/keep; echo x>app/tmp/x", "",
			func(b *copyBench) {
				b.copy("app", "/a", exclude("*.log", "tmp", "sub/deep"))
				b.copy("app", "/b", exclude("**", "!**/keep"))
				b.copy("app", "/c", exclude("sub", "!sub/keep", "tmp/*"))
				b.copy("app/main app", "/d/", exclude("**", "main"))
			}, `
			d 0755 0:0 /a
			f 0644 0:0 /a/main m
			d 0755 0:0 /a/sub
			f 0644 0:0 /a/sub/keep k
			f 0644 0:0 /a/sub/low.log l
			d 0755 0:0 /b
			d 0755 0:0 /b/sub
			d 0755 0:0 /b/sub/deep
			f 0644 0:0 /b/sub/deep/keep k
			f 0644 0:0 /b/sub/keep k
			d 0755 0:0 /c
			f 0644 0:0 /c/main m
			d 0755 0:0 /c/sub
			f 0644 0:0 /c/sub/keep k
			d 0755 0:0 /c/tmp
			f 0644 0:0 /c/top.log l
			d 0755 0:0 /d
			f 0644 0:0 /d/main m`},
		{"parents", "mkdir -p a/b/c a/e; echo 1 >a/b/one; echo 2 >a/two; echo 3 >a/b/c/three; ln -s two a/l; chmod 711 a; chmod 701 a/b", "mkdir -p have/a; chown -R 5:5 have",
			func(b *copyBench) {
				b.copy("a/b/one /a/two", "/to/", parents)
				b.copy("a/./b/one a/b/./c", "/pivot/", parents)
				b.copy("**/t*", "/glob", parents, chown("3"))
				b.copy("a/l none*", "/link/", parents)
				b.copy("a/b/one", "/have/", parents)
			}, `
			d 0755 3:3 /glob
			d 0711 3:3 /glob/a
			d 0701 3:3 /glob/a/b
			d 0755 3:3 /glob/a/b/c
			f 0644 3:3 /glob/a/b/c/three 3
			f 0644 3:3 /glob/a/two 2
			d 0755 5:5 /have
			d 0711 5:5 /have/a
			d 0701 0:0 /have/a/b
			f 0644 0:0 /have/a/b/one 1
			d 0755 0:0 /link
			d 0711 0:0 /link/a
			l 0:0 /link/a/l -> two
			d 0755 0:0 /pivot
			d 0701 0:0 /pivot/b
			f 0644 0:0 /pivot/b/one 1
			d 0755 0:0 /pivot/c
			f 0644 0:0 /pivot/c/three 3
			d 0755 0:0 /to
			d 0711 0:0 /to/a
			d 0701 0:0 /to/a/b
			f 0644 0:0 /to/a/b/one 1
			f 0644 0:0 /to/a/two 2`},
		{"link", "mkdir dir; echo x>dir/x; echo f>file", "mkdir -m 1777 tmp; mkdir srv; echo s>srv/s; ln -s /srv l",
			func(b *copyBench) {
				b.copy("file", "/tmp/file", linked)
				b.copy("file", "/srv", linked)
				b.copy("dir", "/l", linked, chown("7:8"))
				b.copy("file", "/q/r/", linked, chown("7:8"))
			}, `
			d 0755 7:8 /l
			f 0644 7:8 /l/x x
			d 0755 7:8 /q
			d 0755 7:8 /q/r
			f 0644 7:8 /q/r/file f
			f 0644 0:0 /srv f
			d 0755 0:0 /tmp
			f 0644 0:0 /tmp/file f`},
		{"special files", "mkdir t; mkfifo -m 620 t/pipe; echo 1 >t/a; ln t/a t/b; truncate -s 1000000 t/sparse; echo s>t/suid; chmod 4755 t/suid", "",
			func(b *copyBench) { b.copy("t", "/t"); b.copy("t/a t/b", "/u/") }, `
			d 0755 0:0 /t
			f 0644 0:0 /t/a 1
			h 0644 0:0 /t/b = /t/a
			p 0620 0:0 /t/pipe
			f 0644 0:0 /t/sparse
			f 4755 0:0 /t/suid s
			d 0755 0:0 /u
			f 0644 0:0 /u/a 1
			f 0644 0:0 /u/b 1`},
		{"setgid destination", "echo f>f; mkdir d; echo g>d/g", "mkdir s; chown 0:50 s; chmod 2775 s",
			func(b *copyBench) { b.copy("f", "/s/f"); b.copy("d", "/s/new"); b.copy("f", "/s/n/n/f") }, `
			d 2775 0:50 /s
			f 0644 0:0 /s/f f
			d 0755 0:0 /s/n
			d 0755 0:0 /s/n/n
			f 0644 0:0 /s/n/n/f f
			d 0755 0:0 /s/new
			f 0644 0:0 /s/new/g g`},
		{"ignored", "echo x>a.log; echo x>a.txt; mkdir -p d/gone other/deep; echo x>d/gone/f; echo x>d/k; echo x>other/f; echo x>other/deep/f; printf '*.log\\nd/gone\\nother\\n!**/deep/*\\n.dockerignore'>.dockerignore", "",
			func(b *copyBench) { b.copy(".", "/all"); b.copy("d* *.log", "/d/") }, `
			d 0755 0:0 /all
			f 0644 0:0 /all/a.txt x
			d 0755 0:0 /all/d
			f 0644 0:0 /all/d/k x
			d 0755 0:0 /all/other
			d 0755 0:0 /all/other/deep
			f 0644 0:0 /all/other/deep/f x
			d 0755 0:0 /d
			f 0644 0:0 /d/k x`},
		{"heredocs", "echo p>plain", "mkdir bin",
			func(b *copyBench) {
				b.copy("", "/named", func(c *dockerfile.Copy) { c.Inline = []dockerfile.File{{Path: "EOF", Data: []byte("text")}} })
				b.copy("plain", "/dir/", func(c *dockerfile.Copy) {
					c.Inline = []dockerfile.File{{Path: "a.ini", Data: []byte("a")}, {Path: "b", Data: nil}}
				})
				b.copy("", "/bin/", added, chown("3:4"), chmodTo("0751"), func(c *dockerfile.Copy) {
					c.Inline = []dockerfile.File{{Path: "script", Data: []byte("#!")}}
				})
			}, `
			d 0755 0:0 /bin
			f 0751 3:4 /bin/script #!
			d 0755 0:0 /dir
			f 0644 0:0 /dir/a.ini a
			f 0644 0:0 /dir/b
			f 0644 0:0 /dir/plain p
			f 0644 0:0 /named text`},
		{"onto links", "echo 1 >one; mkdir tree; echo 3 >tree/three", "mkdir -p srv/d opt run; ln -s /srv/target srv/abs; echo old>srv/target; ln -s ../srv/d opt/dl; mkdir var; ln -s /run var/run",
			func(b *copyBench) {
				b.copy("one", "/srv/abs")
				b.copy("tree one", "/opt/dl")
				b.copy("one", "/var/run/one")
			}, `
			d 0755 0:0 /opt
			l 0:0 /opt/dl -> ../srv/d
			d 0755 0:0 /run
			f 0644 0:0 /run/one 1
			d 0755 0:0 /srv
			l 0:0 /srv/abs -> /srv/target
			d 0755 0:0 /srv/d
			f 0644 0:0 /srv/d/one 1
			f 0644 0:0 /srv/d/three 3
			f 0644 0:0 /srv/target 1
			d 0755 0:0 /var
			l 0:0 /var/run -> /run`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newCopyBench(t)
			b.shell(tt.context)
			b.base(tt.base)
			tt.copy(b)
			b.want(tt.want)
		})
	}
}

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
			return copyInto(t.Context(), d, copyStep(source, dest), viewTree(v), copyOptions{Store: b.store})
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
		b.step(func(d *layers.Draft) error { return makeDir(d, m, 5, 6) })
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
	if err := b.tryStep(func(d *layers.Draft) error { return makeDir(d, &dockerfile.Mkdir{Path: "/f/x"}, 0, 0) }); err == nil {
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
	if _, err := digestCopy(t.Context(), c.Tree(), step, copyOptions{Store: b.store}); err != nil {
		t.Fatal(err)
	}
	b.shell("echo two>f")
	err := b.tryStep(func(d *layers.Draft) error {
		return copyInto(t.Context(), d, step, c.Tree(), copyOptions{Store: b.store})
	})
	var changed *ChangedError
	if !errors.As(err, &changed) {
		t.Errorf("got %v", err)
	}
}

// TestCopyAsUser copies without a namespace and without any privilege.
func TestCopyAsUser(t *testing.T) {
	if os.Geteuid() == 0 {
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
		cmd := exec.Command(binary, "-test.run=^TestCopyAsUser$", "-test.v")
		cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "PATH=/usr/bin:/bin"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
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
	for _, step := range []*dockerfile.Copy{copyStep("f", "/a/f"), copyStep("f", "/b", chown("0:0"), chmodTo("4755"))} {
		if err := copyInto(t.Context(), d, step, c.Tree(), copyOptions{Store: store}); err != nil {
			t.Error(err)
		}
	}
	err = copyInto(t.Context(), d, copyStep("f", "/c", chown("1")), c.Tree(), copyOptions{Store: store})
	if !errors.Is(err, ErrNeedsNamespace) {
		t.Errorf("got %v", err)
	}
	n, err := viewTree(d.View()).Lstat("/a/f")
	if err != nil || n.UID != 0 || n.GID != 0 {
		t.Errorf("%+v %v", n, err)
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
		if err := copyInto(b.Context(), d, copyStep(".", "/x"), c.Tree(), copyOptions{Store: store}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		d.Discard()
		c.Close()
		b.StartTimer()
	}
}
