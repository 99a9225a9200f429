package layers

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// The law: one layer of several snapshots is what they are together.
func TestSquashLaw(t *testing.T) {
	names := slices.Sorted(maps.Keys(changes))
	for i, name := range names {
		for _, step := range []int{1, 7} {
			other := names[(i+step)%len(names)]
			t.Run(name+", "+other, func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				base := baseState(t, s)
				change(t, s, base, keyOf("one"), func(root string) { script(t, root, "{ "+changes[name].script+"; } || :") })
				change(t, s, keyOf("one"), keyOf("two"), func(root string) { script(t, root, "{ "+changes[other].script+"; } || :") })
				v, err := s.View(keyOf("two"))
				check(t, err)
				lower, err := s.View(base)
				check(t, err)
				var buf bytes.Buffer
				check(t, rootfs.WriteDiff(t.Context(), &buf, dirsOf(t, s, keyOf("two"))[:2], rootfs.DiffOptions{Lower: lower}))
				dir := applyTo(t, buf.Bytes(), lower)
				sameLines(t, "squashed", lines(t, lower.Over(dir)), lines(t, v))
			})
		}
	}
}

// FuzzSquash squashes two fuzzed layers over a third.
func FuzzSquash(f *testing.F) {
	f.Add([]byte("\x00a\x01b\x02c"), []byte("\x03a\x04b\x05c"), []byte("\x00a"))
	f.Add([]byte("\x00d\x10d\x11d"), []byte("\x05d\x20d\x00d\x31e"), []byte("\x04d"))
	f.Fuzz(func(t *testing.T, low, middle, up []byte) {
		lower := rootfs.NewView(applyFuzzed(t, low, rootfs.NewView()))
		one := applyFuzzed(t, middle, lower)
		two := applyFuzzed(t, up, lower.Over(one))
		want := lower.Over(one).Over(two)
		var buf bytes.Buffer
		check(t, rootfs.WriteDiff(t.Context(), &buf, []string{two, one}, rootfs.DiffOptions{Lower: lower}))
		got := applyTo(t, buf.Bytes(), lower)
		sameLines(t, "squashed", lines(t, lower.Over(got)), lines(t, want))
	})
}

// Squash keeps what it made, and refuses what is not one state over the other.
func TestSquash(t *testing.T) {
	s := newStore(t)
	change(t, s, Key{}, keyOf("base"), func(root string) { write(t, root+"/f", "base") })
	change(t, s, keyOf("base"), keyOf("one"), func(root string) { write(t, root+"/f", "one") })
	change(t, s, keyOf("one"), keyOf("two"), func(root string) { write(t, root+"/f", "two") })
	for _, existed := range []bool{false, true} {
		if s.HasSquashed(keyOf("two"), keyOf("base"), LayerOptions{}) != existed {
			t.Error("HasSquashed is wrong")
		}
		l, got, err := s.Squash(t.Context(), keyOf("two"), keyOf("base"), LayerOptions{})
		check(t, err)
		r, err := l.Uncompressed()
		check(t, err)
		var buf bytes.Buffer
		_, err = buf.ReadFrom(r)
		check(t, err)
		if got != existed || !slices.Equal(members(t, buf.Bytes()), []string{"f"}) {
			t.Errorf("existed: %v, %v", got, members(t, buf.Bytes()))
		}
	}
	for _, base := range []Key{keyOf("two"), keyOf("nowhere")} {
		if _, _, err := s.Squash(t.Context(), keyOf("one"), base, LayerOptions{}); err == nil {
			t.Error("no error")
		}
	}
}
