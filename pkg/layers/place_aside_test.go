package layers

import (
	"net/url"
	"os"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// Whenever a build is killed while files make room or come back, the next one finds all of them: those that are still in their places, and
// those that are not.
func TestKilledWhileFilesMakeRoom(t *testing.T) {
	c := newContainer(t)
	aside := func(name string) string { return c.dir + "/image/own/aside-" + url.PathEscape(name) }
	for _, there := range [][]string{{"/etc/passwd", "/etc/group"}, {"/etc/passwd"}, {"/etc/group"}, {}} {
		p := c.place()
		h, err := snapshotter.NewHolding(p.Dir, p.Own, p.Kept, p.Aside)
		check(t, err)
		check(t, h.Begin(t.Context(), func(string) {}))
		if len(there) == 0 { // a tree is there only while none of them is
			write(t, c.dir+"/etc/passwd", "of an image")
			write(t, c.dir+"/etc/shadow", "of an image, where nothing was")
		}
		for _, name := range there {
			check(t, os.Rename(aside(name), c.dir+name))
		}
		check(t, os.Remove(p.Own+"/lock")) // so nobody has it, as when the process has died
		next := c.open()
		sameLines(t, "the container", c.all, c.list())
		check(t, next.Close())
		if left := namesIn(t, c.dir+"/image/own"); len(left) != 1 {
			t.Errorf("with %v in place, left: %v", there, left)
		}
	}
}

// A shell that is a link to a program of ours makes room for a base's, and even for another kind of /bin.
func TestALinkMakesRoom(t *testing.T) {
	c := newContainer(t)
	script(t, c.dir, "mkdir bin; ln -s ../image/gbuild bin/sh")
	c.all = c.list()
	p := c.place()
	p.Aside = append(p.Aside, c.dir+"/bin/sh")
	for range 2 {
		s, err := Open(c.state)
		check(t, err)
		check(t, s.UsePlace(p))
		change(t, s, Key{}, keyOf("base"), func(root string) {
			script(t, root, "test ! -e bin; mkdir -p usr/bin; echo sh >usr/bin/sh; ln -s usr/bin bin")
		})
		change(t, s, keyOf("base"), keyOf("more"), func(root string) { script(t, root, `test "$(cat bin/sh)" = sh; echo more >bin/more`) })
		wantFiles(t, s, keyOf("more"), "/ /bin /usr /usr/bin /usr/bin/more /usr/bin/sh")
		check(t, s.Close())
		sameLines(t, "the container", c.all, c.list())
	}
}

// A directory that was replaced by another one, with what is in it, as for the time of a mount, brings nothing of the container into a layer.
func TestReplacedAboveAKeptName(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	change(t, s, Key{}, keyOf("base"), func(root string) { script(t, root, "mkdir -p workspace; echo x >workspace/f") })
	change(t, s, keyOf("base"), keyOf("replaced"), func(root string) {
		script(t, root, `replace() { mkdir -m 755 new; find "$1" -mindepth 1 -maxdepth 1 -exec mv -t new {} +; rmdir "$1"; mv new "$1"; }
			replace workspace; cd workspace; replace src; echo y >g`)
	})
	wantFiles(t, s, keyOf("replaced"), "/ /workspace /workspace/f /workspace/g")
	change(t, s, keyOf("base"), keyOf("both"), func(root string) { script(t, root, "echo o >workspace/src/own") })
	change(t, s, keyOf("both"), keyOf("both replaced"), func(root string) {
		script(t, root, `mkdir -m 755 new; find workspace -mindepth 1 -maxdepth 1 -exec mv -t new {} +; rmdir workspace; mv new workspace`)
	})
	wantFiles(t, s, keyOf("both replaced"), "/ /workspace /workspace/f /workspace/src /workspace/src/own")
	change(t, s, keyOf("replaced"), keyOf("anew"), func(root string) { script(t, root, "rm -r workspace/src; mkdir workspace/src") })
	wantFiles(t, s, keyOf("anew"), "/ /workspace /workspace/f /workspace/g /workspace/src")
	check(t, s.Close())
}
