package layers

import (
	"os"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// inEachWay runs a test of a store for each way in which drafts are shown.
func inEachWay(t *testing.T, test func(*testing.T, *Store)) {
	t.Helper()
	for _, way := range []snapshotter.Way{snapshotter.Copied, snapshotter.Overlay} {
		t.Run(way.String(), func(t *testing.T) {
			s := newStore(t)
			s.way = func() (snapshotter.Way, error) { return way, nil }
			test(t, s)
		})
	}
}

// The law: a RUN that works in the tree of another one sees its state, whatever has changed in it, and what was copied between them.
func TestATreeFollowsItsState(t *testing.T) {
	needRoot(t)
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
	if len(s.trees.kept) != 1 {
		t.Errorf("%d trees are kept", len(s.trees.kept))
	}
	root, err := d.Mount(t.Context())
	check(t, err)
	if len(s.trees.kept) != 0 {
		t.Error("the tree that is there was not taken")
	}
	v, err := s.View(k)
	check(t, err)
	sameLines(t, "tree", names(lines(t, rootfs.NewView(root))), names(lines(t, v)))
	check(t, d.Commit(t.Context(), keyOf(k.String()+"unchanged")))
	s.trees.kept[0].state = k // a RUN that changes nothing leaves the tree of its parent
}
