package layers

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// places are the directories that a store may lie in, and how it shows drafts there.
var places = map[string]struct {
	dir func(testing.TB) string
	way snapshotter.Way
	in  func(testing.TB, *Store) // uses a place
}{
	"overlay":            {func(t testing.TB) string { return t.TempDir() }, snapshotter.Overlay, nil},
	"copy":               {func(t testing.TB) string { return t.TempDir() }, snapshotter.Copied, nil},
	"copy on overlay":    {onOverlay, snapshotter.Copied, nil},
	"copy on FUSE":       {onFuse, snapshotter.Copied, nil},
	"in place":           {func(t testing.TB) string { return t.TempDir() }, snapshotter.Copied, func(t testing.TB, s *Store) { usePlace(t, s, t.TempDir()) }},
	"in place elsewhere": {func(t testing.TB) string { return t.TempDir() }, snapshotter.Copied, func(t testing.TB, s *Store) { usePlace(t, s, onTmpfs(t)) }},
}

// inEachWay runs a test of a store for each way in which drafts are shown, and in each place.
func inEachWay(t *testing.T, test func(*testing.T, *Store)) {
	t.Helper()
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			s, err := Open(filepath.Join(place.dir(t), "store"))
			check(t, err)
			defer s.Close()
			if place.in != nil {
				place.in(t, s)
			}
			s.way = func() (snapshotter.Way, error) { return place.way, nil }
			test(t, s)
		})
	}
}

// usePlace lets a store show drafts in a directory that has files of others.
func usePlace(t testing.TB, s *Store, dir string) {
	t.Helper()
	check(t, os.MkdirAll(dir+"/opt/theirs", 0o755))
	check(t, os.MkdirAll(dir+"/hollow", 0o750))
	write(t, dir+"/opt/theirs/f", "theirs")
	check(t, s.UsePlace(Place{Dir: dir, Own: dir + "/own"}))
}

// withoutTheirs leaves out what usePlace puts into a place.
func withoutTheirs(lines []string) []string {
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "/own") || strings.HasPrefix(l, "/opt/theirs") })
}

// onTmpfs returns a directory on a filesystem of its own, from which nothing can be renamed to another one.
func onTmpfs(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// overlayDirs makes the directories of an overlay.
func overlayDirs(t testing.TB) (lower, upper, work, root string) {
	t.Helper()
	at := t.TempDir()
	for i, dir := range []*string{&lower, &upper, &work, &root} {
		*dir = filepath.Join(at, strconv.Itoa(i))
		check(t, os.Mkdir(*dir, 0o700))
	}
	return lower, upper, work, root
}

// onOverlay returns a directory on an overlay, as the root of a container is one.
func onOverlay(t testing.TB) string {
	t.Helper()
	lower, upper, work, root := overlayDirs(t)
	if err := snapshotter.MountOverlay(root, []string{lower}, upper, work); err != nil {
		t.Skipf("cannot mount overlays here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return root
}

// onFuse returns a directory on a filesystem in user space: fuse-overlayfs, as the root of some containers is one.
func onFuse(t testing.TB) string {
	t.Helper()
	lower, upper, work, root := overlayDirs(t)
	out, err := exec.Command("fuse-overlayfs", "-o", "lowerdir="+lower+",upperdir="+upper+",workdir="+work, root).CombinedOutput()
	if err != nil {
		t.Skipf("cannot mount fuse-overlayfs here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return root
}

// isFuse says whether a directory is on a filesystem in user space.
func isFuse(t testing.TB, dir string) bool {
	t.Helper()
	var st unix.Statfs_t
	check(t, unix.Statfs(dir, &st))
	return st.Type == 0x65735546
}

// The law: a RUN that works in the tree of another one sees its state, whatever has changed in it, and what was copied between them.
func TestATreeFollowsItsState(t *testing.T) {
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.way = func() (snapshotter.Way, error) { return snapshotter.Copied, nil }
			k := baseState(t, s)
			change(t, s, k, keyOf("changed"), func(root string) { script(t, root, "{ "+c.script+"; } || :") })
			seesItsState(t, s, keyOf("changed"))

			d, err := s.Draft(t.Context(), keyOf("changed")) // as a COPY
			check(t, err)
			check(t, d.CopyUp("/copied/"))
			check(t, os.MkdirAll(d.Dir()+"/copied/in", 0o700))
			write(t, d.Dir()+"/copied/in/f", "x")
			check(t, d.Commit(t.Context(), keyOf("copied")))
			seesItsState(t, s, keyOf("copied"))

			change(t, s, keyOf("copied"), keyOf("again"), func(root string) {
				script(t, root, "rm -rf opt copied; mkdir -p opt/dir copied; echo other >opt/dir/one; echo y >copied/f; "+"{ "+c.script+"; } || :")
			})
			seesItsState(t, s, keyOf("again"))
		})
	}
}

// seesItsState compares the tree of a RUN on a state with the state, where the RUN before has left one and where none is.
func seesItsState(t *testing.T, s *Store, k Key) {
	t.Helper()
	d, err := s.Draft(t.Context(), k)
	check(t, err)
	defer d.Discard()
	all := s.trees.(*trees)
	if len(all.kept) != 1 {
		t.Errorf("%d trees are kept", len(all.kept))
	}
	root, err := d.Mount(t.Context())
	check(t, err)
	if len(all.kept) != 0 {
		t.Error("the tree that is there was not taken")
	}
	v, err := s.View(k)
	check(t, err)
	sameLines(t, "tree", names(lines(t, rootfs.NewView(root))), names(lines(t, v)))
	check(t, d.Commit(t.Context(), keyOf(k.String()+"unchanged")))
	all.kept[0].state = k // a RUN that changes nothing leaves the tree of its parent
}
