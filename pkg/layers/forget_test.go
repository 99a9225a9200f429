package layers

import (
	"os"
	"testing"
)

// What a draft forgets is in no state, and a RUN that goes on in the tree that is left does not see it either.
func TestForget(t *testing.T) {
	inEachWay(t, func(t *testing.T, s *Store) {
		k := baseState(t, s)
		before, err := s.View(k)
		check(t, err)
		_, err = before.Lstat("/opt/dir")
		check(t, err)

		d, err := s.Draft(t.Context(), k)
		check(t, err)
		defer d.Discard()
		root, err := d.Mount(t.Context())
		if err != nil {
			t.Skipf("cannot mount here: %v", err)
		}
		script(t, root, "rm -rf opt/dir; mkdir -p made/deep; echo 1 >made/deep/f; echo 2 >other; echo 3 >made-too")
		check(t, d.Forget([]string{"/opt/dir", "made/", "/nosuch/dir", "/other/below", "/", "../../made-too"}))
		check(t, d.Commit(t.Context(), keyOf("forgot")))

		after, err := s.View(keyOf("forgot"))
		check(t, err)
		for name, there := range map[string]bool{"/opt/dir": true, "/made": false, "/made-too": false, "/other": true} {
			if _, err := after.Lstat(name); (err == nil) != there {
				t.Errorf("%s: %v", name, err)
			}
		}
		change(t, s, keyOf("forgot"), keyOf("again"), func(root string) {
			for name, there := range map[string]bool{"/opt/dir": true, "/made": false, "/made-too": false, "/other": true} {
				if _, err := os.Lstat(root + name); (err == nil) != there {
					t.Errorf("the next RUN: %s: %v", name, err)
				}
			}
		})
	})
}
