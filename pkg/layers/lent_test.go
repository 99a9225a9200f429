package layers

import (
	"fmt"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// lentBase is an image whose layers hide, link and replace what is below, and have directories and a link where a container has something.
func lentBase(t *testing.T) []v1.Layer {
	gz := codec.Compression{}
	return []v1.Layer{
		layerOf(t, tarOf(t, "d etc", "f etc/passwd root", "d usr", "d usr/bin", "f usr/bin/sh sh", "h usr/bin/dash usr/bin/sh", "d old", "d old/deep", "f old/deep/f f",
			"d opt", "f opt/a a", "d gone", "f gone/f f", "d srv", "f srv/f f", "d becomes", "f becomes/f f", "f grows grows", "d hollow", "d run", "f etc/resolv.conf hidden"), gz),
		layerOf(t, tarOf(t, "h linked etc/passwd", "d old", "f old/.wh..wh..opq", "f old/new new", "f .wh.gone", "f becomes file", "d grows", "f grows/f f", "d deep", "d deep/in",
			"f deep/in/.wh.none", "f deep/in/f f", "p fifo", "d workspace", "f workspace/ours ours"), gz),
		layerOf(t, tarOf(t, "f opt/b b", "l lib usr/lib", "d usr/lib", "f usr/lib/so so"), gz),
	}
}

// lentSteps are steps over that image, each over another one, with what a command sees and does.
var lentSteps = []struct{ parent, name, text string }{
	{"", "one", `test "$(cat old/new)" = new; test ! -e old/deep; test ! -e gone; test -f becomes; test "$(cat grows/f)" = f; test ! -e deep/in/none; test -p fifo
		test "$(cat linked)" = root; test "$(stat -c %h usr/bin/sh)" = 2; rm usr/bin/dash; echo more >>usr/bin/sh; rm -r old; mkdir opt/app; echo app >opt/app/f; test "$(cat lib/so)" = so`},
	{"one", "one more", `test ! -e old; test "$(cat usr/bin/sh)" = shmore; touch -d @1000 opt/a; chmod 700 deep; echo 2 >two`},
	{"", "two", `test "$(cat usr/bin/sh)" = sh; test ! -e opt/app; test -d old; test "$(stat -c %a deep)" = 755; mkdir added; echo x >added/f; rm deep/in/f`},
	{"", "three", `test ! -e added; test "$(cat deep/in/f)" = f; printf b >opt/b; touch -d @1000 opt/b; cp -p opt/a opt/c; rm becomes; mkdir becomes`},
	{"three", "four", `test -d becomes; rm -r workspace/ours; echo 4 >four`},
}

// lentBuild carries out the steps, and returns the digests of their layers and of one of all.
func lentBuild(t *testing.T, s *Store, base Key, turn int) (all []string) {
	t.Helper()
	epoch := int64(2000)
	key := func(name string) Key { return keyOf(fmt.Sprint(name, turn)) }
	o := LayerOptions{Epoch: &epoch}
	for _, step := range lentSteps {
		parent := base
		if step.parent != "" {
			parent = key(step.parent)
		}
		check(t, s.Expand(t.Context(), parent))
		change(t, s, parent, key(step.name), func(root string) { script(t, root, step.text) })
		made, _, err := s.Layers(t.Context(), key(step.name), o)
		check(t, err)
		all = append(all, step.name+strings.Join(digests(t, made), " "))
	}
	squashed, _, err := s.Squash(t.Context(), key("four"), base, o)
	check(t, err)
	whole, _, err := s.Squash(t.Context(), key("one more"), Key{}, o)
	check(t, err)
	return append(all, digests(t, []v1.Layer{squashed, whole})...)
}

// What is built over an image whose files were moved into the tree is what is built over snapshots; nothing of the container is changed,
// and the second build is as the first.
func TestBaseIsMovedIntoThePlace(t *testing.T) {
	base := lentBase(t)
	plain := newStore(t)
	k, err := plain.Unpack(t.Context(), base, nil)
	check(t, err)
	want := lentBuild(t, plain, k, 0)
	shown := lines(t, mustView(t, plain, k))

	c := newContainer(t)
	for turn := range 2 {
		s := c.open()
		if _, err := s.Unpack(t.Context(), base, nil); err != nil {
			t.Fatal(err)
		}
		check(t, s.Expand(t.Context(), k))
		if !s.Unpacked(k) || s.snapshots.hasFiles(k) {
			t.Error("the files of the image are in the store, or nowhere")
		}
		change(t, s, k, keyOf(fmt.Sprint("first", turn)), func(root string) { script(t, root, "test -e usr/bin/sh; echo 1 >first") })
		if s.snapshots.hasFiles(k) {
			t.Error("the files of the image were written twice")
		}
		sameLines(t, "layers", want, lentBuild(t, s, k, turn))
		if now := lines(t, mustView(t, s, k)); turn == 0 {
			sameLines(t, "the state of the image", shown, now)
		}
		check(t, s.LeavePlace())
		sameLines(t, "the container", c.all, c.list())
		sameLines(t, "the state of the image, afterwards", shown, lines(t, mustView(t, s, k)))
		check(t, s.Close())
		if left := namesIn(t, c.dir+"/image/own"); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
		if !s.snapshots.hasFiles(k) {
			t.Error("nobody has asked for the files of the image")
		}
		chain, err := s.snapshots.chain(k)
		check(t, err)
		for _, part := range chain { // the second build finds it packed
			check(t, os.RemoveAll(s.disk.snapshot(part, "fs")))
		}
	}
}

// A turn to another state over the same image copies nothing of the image where nothing of it was changed.
func TestTurnNeedsNoFilesOfTheImage(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	k, err := s.Unpack(t.Context(), lentBase(t), nil)
	check(t, err)
	var inode string
	at := func(text string) func(string) {
		return func(root string) {
			script(t, root, text+"; stat -c %i usr/bin/sh >"+c.outside+"/inode")
			now, err := os.ReadFile(c.outside + "/inode")
			if check(t, err); inode != "" && inode != string(now) {
				t.Errorf("the tree was made anew after %s", text)
			}
			inode = string(now)
		}
	}
	change(t, s, k, keyOf("added"), at("mkdir -p opt/app; echo x >opt/app/f; touch opt"))
	change(t, s, k, keyOf("other"), at("test ! -e opt/app; echo x >srv/other"))
	change(t, s, keyOf("added"), keyOf("back"), at("test ! -e srv/other; test -e opt/app/f"))
	if s.snapshots.hasFiles(k) {
		t.Error("the files of the image were brought into the store")
	}
	check(t, s.Close())
}

// An image that is not what it says leaves nothing, and a file of somebody is refused before anything is moved.
func TestBrokenBaseLeavesNothingInThePlace(t *testing.T) {
	c := newContainer(t)
	s := c.open()
	base := lentBase(t)
	base[1].(*testLayer).diffID.Hex = strings.Repeat("0", 64)
	if _, err := s.Unpack(t.Context(), base, nil); err == nil {
		t.Error("no error")
	}
	k, err := s.Unpack(t.Context(), []v1.Layer{layerOf(t, tarOf(t, "d workspace", "d workspace/src", "f workspace/src/main.c c", "f f f"), codec.Compression{})}, nil)
	check(t, err)
	d, err := s.Draft(t.Context(), k)
	check(t, err)
	if _, err := d.Mount(t.Context()); err == nil || !strings.Contains(err.Error(), "/workspace/src/main.c") {
		t.Errorf("a file of somebody: %v", err)
	}
	check(t, d.Discard())
	check(t, s.LeavePlace())
	sameLines(t, "the container", c.all, c.list())
	check(t, s.Close())
	if left := namesIn(t, c.dir+"/image/own"); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// What a dead process has left beside the tree is removed.
func TestLeftBesideThePlaceIsRemoved(t *testing.T) {
	c := newContainer(t)
	script(t, c.dir, "mkdir -p image/own/spare-x/snap/fs/usr image/own/gone-y/1; echo f >image/own/gone-y/1/f; : >image/own/spare-x.lock")
	check(t, c.open().Close())
	if left := namesIn(t, c.dir+"/image/own"); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
