package files

import (
	"testing"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

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
		{"root needs no accounts", "echo f>f", "",
			func(b *copyBench) {
				b.copy("f", "/a", chown("root:root"))
				b.copy("f", "/b", chown("7:root"))
				b.copy("f", "/c", linked, chown("root:8"))
				b.copy("f", "/d", linked, chown(":9"))
			}, `
			f 0644 0:0 /a f
			f 0644 7:0 /b f
			f 0644 0:8 /c f
			f 0644 0:9 /d f`},
		{"link of an archive", "mkdir -p t/lib t/dir; echo f>t/lib/f; echo x>t/dir/x; tar -C t --owner=0 --group=0 -cf t.tar .; rm -r t",
			"mkdir -p srv/other usr/lib; ln -s usr/lib lib; ln -s /srv/other srv/dir",
			func(b *copyBench) {
				b.copy("t.tar", "/srv/", added, linked)
				b.copy("t.tar", "/", added, linked)
			}, `
			d 0755 0:0 /dir
			f 0644 0:0 /dir/x x
			d 0755 0:0 /lib
			f 0644 0:0 /lib/f f
			d 0755 0:0 /srv
			d 0755 0:0 /srv/dir
			f 0644 0:0 /srv/dir/x x
			d 0755 0:0 /srv/lib
			f 0644 0:0 /srv/lib/f f
			d 0755 0:0 /srv/other
			d 0755 0:0 /usr
			d 0755 0:0 /usr/lib`},
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
