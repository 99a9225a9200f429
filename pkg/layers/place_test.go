package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// container is a directory like the root of a container: with mounts of the engine and of drivers, files of others, and gbuild's own.
type container struct {
	*testing.T
	dir, state, outside string
	all                 []string // what is there before the first build
}

func newContainer(t *testing.T) *container {
	t.Helper()
	at := t.TempDir()
	c := &container{T: t, dir: at + "/root", state: at + "/root/var/lib/gbuild", outside: at + "/outside"}
	script(t, at, `mkdir -p root outside/driver outside/secrets; cd outside
		echo driver >libcuda.so.1; echo firmware >driver/gsp.bin; echo dns >resolv; echo token >secrets/token; chmod 400 secrets/token
		cd ../root; mkdir -p image etc usr/lib/x86_64-linux-gnu opt/driver var/run/secrets var/lib/gbuild workspace/src hollow srv/deep
		echo gbuild >image/gbuild; echo theirs >etc/passwd; echo theirs >etc/group; ln -s image/gbuild builder; : >.engine; touch etc/resolv.conf usr/lib/x86_64-linux-gnu/libcuda.so.1
		echo main >workspace/src/main.c; printf 'odd' >"workspace/$(printf 'n\377 \134')"; ln -s src workspace/link; mkfifo workspace/fifo
		chmod 700 hollow; chmod 750 srv; chown 1:1 workspace 2>/dev/null || :
		find . -depth -exec touch -h -d @1000 {} +`)
	c.mount("resolv", "etc/resolv.conf", false)
	c.mount("libcuda.so.1", "usr/lib/x86_64-linux-gnu/libcuda.so.1", true)
	c.mount("driver", "opt/driver", true)
	c.mount("secrets", "var/run/secrets", true)
	c.all = c.list()
	return c
}

// mount shows something from outside.
func (c *container) mount(from, to string, readOnly bool) {
	c.Helper()
	at := filepath.Join(c.dir, to)
	if err := unix.Mount(filepath.Join(c.outside, from), at, "", unix.MS_BIND, ""); err != nil {
		c.Skipf("cannot mount here: %v", err)
	}
	c.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	if readOnly {
		check(c, unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	}
}

// list says what is in the container and outside, but not what gbuild has of its own.
func (c *container) list() (all []string) {
	c.Helper()
	for _, dir := range []string{c.dir, c.outside} {
		check(c, rootfs.NewView(dir).Walk("/", func(e *rootfs.Entry) error {
			var content []byte
			if e.Mode&unix.S_IFMT == unix.S_IFREG {
				content, _ = os.ReadFile(e.Source())
			}
			all = append(all, fmt.Sprintf("%s %o %d:%d %v %q %q", e.Path, e.Mode, e.UID, e.GID, e.ModTime.UnixNano(), e.Link, content))
			if e.Path == "/var/lib/gbuild" || e.Path == "/image" {
				all[len(all)-1] = e.Path
				return fs.SkipDir
			}
			return nil
		}))
	}
	return all
}

// open opens a store that builds in the container.
func (c *container) open() *Store {
	c.Helper()
	s, err := Open(c.state)
	check(c, err)
	c.Cleanup(func() { s.Close() })
	check(c, s.UsePlace(c.place()))
	return s
}

func (c *container) place() Place {
	return Place{Dir: c.dir, Own: c.dir + "/image/own", Kept: []string{c.state, c.dir + "/image", c.outside},
		Aside: []string{c.dir + "/etc/passwd", c.dir + "/etc/group", c.dir + "/etc/shadow"}}
}

// build is a build of two stages, which have much of one base, and a link where the container has a directory.
func (c *container) build(s *Store) {
	c.Helper()
	at := func(text string) func(string) {
		return func(root string) {
			if root != c.dir {
				c.Errorf("a draft is shown in %s", root)
			}
			script(c, root, text)
		}
	}
	change(c, s, Key{}, keyOf("base"), at(`mkdir -p usr/bin usr/lib srv run var/run/pid var/log old workspace tmp; echo sh >usr/bin/sh; ln usr/bin/sh usr/bin/dash; echo old >old/f
		echo own >usr/lib/x86_64-linux-gnu/libc.so; chmod 711 srv; mkdir srv/www; chmod 1777 tmp; test ! -e etc/passwd; echo ours >etc/passwd; touch -d @5000 usr/lib`))
	change(c, s, keyOf("base"), keyOf("one"), at(`rm -rf old; mkdir old; echo new >old/n; rm usr/bin/dash; echo more >>usr/bin/sh; mkdir -p opt/app; echo app >opt/app/f`))
	change(c, s, keyOf("one"), keyOf("one more"), at(`echo 2 >opt/app/g; rm -r var/log; test ! -e old/f`))
	change(c, s, keyOf("base"), keyOf("two"), at(`test "$(cat old/f)" = old; test "$(cat usr/bin/sh)" = sh; test ! -e opt/app; test -d var/log; echo two >workspace/out; rm -r tmp`))
	change(c, s, keyOf("two"), keyOf("three"), at(`test ! -e tmp; test "$(cat workspace/out)" = two; cat workspace/src/main.c opt/driver/gsp.bin etc/resolv.conf >/dev/null; echo 3 >etc/three`))
}

// wantStates checks what the layers have of what was built.
func (c *container) wantStates(s *Store) {
	c.Helper()
	for k, want := range map[string]string{
		"base": "/ /etc /etc/passwd /old /old/f /run /srv /srv/www /tmp /usr /usr/bin /usr/bin/dash /usr/bin/sh /usr/lib /usr/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/libc.so " +
			"/var /var/log /var/run /var/run/pid",
		"one more": "/ /etc /etc/passwd /old /old/n /opt /opt/app /opt/app/f /opt/app/g /run /srv /srv/www /tmp /usr /usr/bin /usr/bin/sh /usr/lib /usr/lib/x86_64-linux-gnu " +
			"/usr/lib/x86_64-linux-gnu/libc.so /var /var/run /var/run/pid",
		"three": "/ /etc /etc/passwd /etc/three /old /old/f /run /srv /srv/www /usr /usr/bin /usr/bin/dash /usr/bin/sh /usr/lib /usr/lib/x86_64-linux-gnu " +
			"/usr/lib/x86_64-linux-gnu/libc.so /var /var/log /var/run /var/run/pid /workspace /workspace/out",
	} {
		wantFiles(c.T, s, keyOf(k), want)
	}
}

// Nothing of the container is in a layer, the second build is as the first, and what was there before is there afterwards.
func TestBuildsInAContainer(t *testing.T) {
	c := newContainer(t)
	var first []string
	for range 2 {
		s := c.open()
		c.build(s)
		c.wantStates(s)
		v, err := s.View(keyOf("three"))
		check(t, err)
		if now := withoutTimes(lines(t, v)); first == nil {
			first = now
		} else {
			sameLines(t, "the second build", first, now)
		}
		check(t, s.LeavePlace())
		sameLines(t, "the container", c.all, c.list())
		check(t, s.Close())
		if left, err := os.ReadDir(c.dir + "/image/own"); err != nil || len(left) != 1 {
			t.Errorf("left: %v %v", left, err)
		}
		check(t, os.RemoveAll(c.state+"/snapshots")) // the next one starts anew
		check(t, os.Mkdir(c.state+"/snapshots", 0o700))
	}
}

// withoutTimes leaves out when files were changed.
func withoutTimes(lines []string) []string {
	for i, l := range names(lines) {
		if fields := strings.Fields(l); len(fields) > 4 {
			lines[i] = strings.Join(append(fields[:3], fields[4:]...), " ")
		}
	}
	return lines
}

// A build that is killed leaves a tree, which the next one takes away, whatever of it was there.
func TestAKilledBuildIsTakenAway(t *testing.T) {
	c := newContainer(t)
	for _, wait := range []time.Duration{0, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, time.Minute} {
		os.RemoveAll(c.state)
		check(t, os.Mkdir(c.state, 0o755))
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Dir(c.state), []unix.Timespec{{Sec: 1000}, {Sec: 1000}}, 0))
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, c.state, []unix.Timespec{{Sec: 1000}, {Sec: 1000}}, 0))
		cmd := exec.Command("/proc/self/exe", "place", c.dir, c.state, c.outside)
		check(t, cmd.Start())
		killed := time.AfterFunc(wait, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		if killed.Stop(); wait == time.Minute && err == nil {
			t.Fatal("the build has not killed itself")
		}
		_, crashed := os.Stat(c.dir + "/image/own/found.json")
		if wait == time.Minute && crashed != nil {
			t.Errorf("killed in the middle: %v", crashed)
		}
		s := c.open()
		sameLines(t, "the container after "+wait.String(), c.all, c.list())
		check(t, s.Close())
	}
}

// placeChild builds in a container until it kills itself, with a tree that nothing has seen to its end.
func placeChild(dir, state, outside string) {
	s, err := Open(state)
	if err == nil {
		err = s.UsePlace(Place{Dir: dir, Own: dir + "/image/own", Kept: []string{state, dir + "/image", outside},
			Aside: []string{dir + "/etc/passwd", dir + "/etc/group"}})
	}
	for i := 0; err == nil; i++ {
		var d *Draft
		if d, err = s.Draft(context.Background(), Key{}); err != nil {
			break
		}
		var root string
		if root, err = d.Mount(context.Background()); err != nil {
			break
		}
		err = errors.Join(os.MkdirAll(root+"/made/deep", 0o755), os.MkdirAll(root+"/srv/x", 0o755), os.Chmod(root+"/etc", 0o700), os.Remove(root+"/srv/x"),
			os.WriteFile(root+"/made/deep/f", []byte("x"), 0o644), os.WriteFile(root+"/etc/y", []byte("y"), 0o644), os.WriteFile(root+"/etc/passwd", []byte("y"), 0o644))
		if i == 20 {
			unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		if err == nil {
			err = d.Commit(context.Background(), keyOf(strings.Repeat("k", i+1)))
		}
	}
	panic(err)
}

// What a state has where a file was before is refused with its name, and so is what a command puts there; nothing is changed by that.
func TestAForeignFileInTheWay(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	check(t, os.MkdirAll(d.Dir()+"/workspace/src", 0o755))
	write(t, d.Dir()+"/workspace/src/main.c", "of the image")
	check(t, d.Commit(t.Context(), keyOf("copied")))
	d, err = s.Draft(t.Context(), keyOf("copied"))
	check(t, err)
	_, err = d.Mount(t.Context())
	var conflict *snapshotter.ConflictError
	if !errors.As(err, &conflict) || conflict.Name != "/workspace/src/main.c" || conflict.Hint() == "" {
		t.Errorf("over a foreign file: %v", err)
	}
	check(t, d.Discard())
	check(t, s.LeavePlace())
	sameLines(t, "the container", c.all, c.list())

	d, err = s.Draft(t.Context(), Key{})
	check(t, err)
	root, err := d.Mount(t.Context())
	check(t, err)
	script(t, root, "rm workspace/src/main.c; echo made >workspace/src/main.c")
	if err := d.Commit(t.Context(), keyOf("made")); !errors.As(err, &conflict) {
		t.Errorf("in the place of a foreign file: %v", err)
	}
	change(t, s, Key{}, keyOf("removed"), func(root string) { script(t, root, "rm -r workspace; echo f >workspace") })
	change(t, s, keyOf("removed"), keyOf("again"), func(root string) {
		script(t, root, "rm workspace; mkdir -p workspace/src; echo f >workspace/src/main.c")
	})
	wantFiles(t, s, keyOf("again"), "/ /workspace /workspace/src /workspace/src/main.c")
	check(t, s.Close())
}

// A command that moves a mount with the directory that it is in fails; what is mounted is not touched.
func TestAMountIsMoved(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	root, err := d.Mount(t.Context())
	check(t, err)
	script(t, root, "mv opt opt2; mkdir opt; echo x >opt/f")
	defer unix.Unmount(root+"/opt2/driver", unix.MNT_DETACH)
	if err := d.Commit(t.Context(), keyOf("moved")); err == nil || !strings.Contains(err.Error(), "/opt2/driver") {
		t.Errorf("committed: %v", err)
	}
	if data, err := os.ReadFile(c.outside + "/driver/gsp.bin"); err != nil || string(data) != "firmware\n" {
		t.Errorf("what was mounted: %q, %v", data, err)
	}
	check(t, s.LeavePlace())
	if data, err := os.ReadFile(root + "/opt2/driver/gsp.bin"); err != nil || string(data) != "firmware\n" {
		t.Errorf("what is mounted: %q, %v", data, err)
	}
	check(t, s.Close())
}

// A directory that was made anew is a new one in the layer, though something in it is kept.
func TestMadeAnewAboveAKeptName(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	change(t, s, Key{}, keyOf("base"), func(root string) {
		script(t, root, "mkdir -p workspace/lib; echo x >workspace/lib/f; echo y >workspace/g")
	})
	change(t, s, keyOf("base"), keyOf("anew"), func(root string) { script(t, root, "rm -rf workspace; mkdir -m 750 workspace; echo z >workspace/h") })
	wantFiles(t, s, keyOf("anew"), "/ /workspace /workspace/h")
	change(t, s, keyOf("anew"), keyOf("next"), func(root string) { script(t, root, "test ! -e workspace/g; test $(stat -c %a workspace) = 750") })
	check(t, s.Close())
}

// A directory of the container that cannot be a link, since something is mounted in it, shows what the link leads to, and what a command
// does there is done to that.
func TestALinkWhereSomethingIsMounted(t *testing.T) {
	c := newContainer(t)
	script(t, c.dir, "mkdir -p lib/firmware/nvidia; touch lib/firmware/nvidia/gsp.bin")
	c.mount("driver/gsp.bin", "lib/firmware/nvidia/gsp.bin", true)
	s := c.open()
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	script(t, d.Dir(), `mkdir -p usr/lib/systemd usr/lib/old usr/lib/firmware; echo own >usr/lib/firmware/own; echo so >usr/lib/ld.so; ln -s usr/lib lib; mkdir -p var run; ln -s /run var/run`)
	check(t, d.Commit(t.Context(), keyOf("base")))
	change(t, s, keyOf("base"), keyOf("used"), func(root string) {
		script(t, root, `test "$(cat lib/ld.so)" = so; test "$(cat lib/firmware/own)" = own; test "$(cat lib/firmware/nvidia/gsp.bin)" = firmware
			echo unit >lib/systemd/unit; mkdir lib/new; echo new >lib/new/f; rm -r lib/old; rm lib/ld.so; echo other >lib/ld.so; mkdir usr/lib/direct
			echo own2 >lib/firmware/own2; echo 1 >var/run/pid`)
	})
	wantFiles(t, s, keyOf("used"), "/ /lib /run /run/pid /usr /usr/lib /usr/lib/direct /usr/lib/firmware /usr/lib/firmware/own /usr/lib/firmware/own2 /usr/lib/ld.so "+
		"/usr/lib/new /usr/lib/new/f /usr/lib/systemd /usr/lib/systemd/unit /var /var/run")
	change(t, s, keyOf("used"), keyOf("seen"), func(root string) {
		script(t, root, `test "$(cat lib/ld.so)" = other; test "$(cat lib/new/f)" = new; test ! -e lib/old; test -d lib/direct; test "$(cat var/run/pid)" = 1`)
	})
	v, err := s.View(keyOf("seen"))
	check(t, err)
	if e, err := v.Lstat("/lib"); err != nil || e.Link != "usr/lib" {
		t.Errorf("the link: %+v, %v", e, err)
	}
	wantFiles(t, s, keyOf("seen"), "/ /lib /run /run/pid /usr /usr/lib /usr/lib/direct /usr/lib/firmware /usr/lib/firmware/own /usr/lib/firmware/own2 /usr/lib/ld.so "+
		"/usr/lib/new /usr/lib/new/f /usr/lib/systemd /usr/lib/systemd/unit /var /var/run")
	change(t, s, Key{}, keyOf("without"), func(root string) { script(t, root, "test ! -e lib/ld.so; mkdir -p lib; echo x >lib/x") })
	wantFiles(t, s, keyOf("without"), "/ /lib /lib/x")
	check(t, s.LeavePlace())
	if data, err := os.ReadFile(c.dir + "/lib/firmware/nvidia/gsp.bin"); err != nil || string(data) != "firmware\n" {
		t.Errorf("what is mounted: %q, %v", data, err)
	}
	if left := namesIn(t, c.dir+"/lib"); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// Who builds in the same container waits, in this process and in others.
func TestOneAtATime(t *testing.T) {
	c := newContainer(t)
	s, other := c.open(), c.open()
	var said string
	other.Notice = func(text string) { said = text }
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	_, err = d.Mount(t.Context())
	check(t, err)
	for _, second := range []*Store{s, other} {
		waits, err := second.Draft(t.Context(), Key{})
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := waits.Mount(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("two have the tree: %v", err)
		}
		cancel()
		check(t, waits.Discard())
	}
	if !strings.Contains(said, "another build") {
		t.Errorf("said %q", said)
	}
	check(t, d.Discard())
	check(t, s.Close())
	change(t, other, Key{}, keyOf("then"), func(root string) { write(t, root+"/f", "x") })
	check(t, other.Close())
	sameLines(t, "the container", c.all, c.list())
}

// A command that walks through the whole container meets no file that is being removed meanwhile.
func TestNothingIsRemovedBesideACommand(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	many := func(root string) {
		if left := strings.Join(namesIn(t, c.dir+"/image/own"), " "); !strings.HasPrefix(left, "aside-") || strings.Contains(left, "gone-") {
			t.Errorf("beside the command there is %s", left)
		}
		script(t, root, "mkdir many; cd many; seq 1500 | xargs touch")
	}
	for _, stage := range []string{"one", "two"} {
		change(t, s, Key{}, keyOf(stage), many)
	}
	check(t, s.LeavePlace())
	sameLines(t, "the container", c.all, c.list())
}
