// The files of states, as views. A state is the stack of its snapshot and all that it stands on.

package layers

import (
	"slices"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// view returns the merged files of the state k, which must not be packed (see Expand).
func (s *snapshots) view(k Key) (*rootfs.View, error) {
	levels, err := s.levels(k)
	if err != nil {
		return nil, err
	}
	return rootfs.StackView(levels, s.rootDepth(k, levels)), nil
}

// changed returns the files that the state k has of its own, without those of what it stands on.
func (s *snapshots) changed(k Key) (*rootfs.View, error) {
	levels, err := s.levels(k)
	return rootfs.StackView(levels[:min(len(levels), 1)], 0), err
}

// below returns the view of what the snapshot of k stands on.
func (s *snapshots) below(k Key) (*rootfs.View, error) {
	m, err := s.heldMeta(k)
	if err != nil {
		return nil, err
	}
	return s.view(m.Parent)
}

// rootDepth says how many snapshots of the state k, which has these levels, its root directory is merged of. It is remembered:
// a build of many layers looks at each state.
func (s *snapshots) rootDepth(k Key, levels []rootfs.Level) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for at := k; n < len(levels); at = s.known[at].Parent {
		below, known := s.roots[at]
		if known {
			n += below
			break
		}
		if n++; levels[n-1].IsOpaque() {
			break
		}
	}
	s.roots[k] = n
	return n
}

// chain lists a state, what it stands on, and so on.
func (s *snapshots) chain(k Key) (chain []Key, err error) {
	for !k.IsZero() {
		m, err := s.heldMeta(k)
		if err != nil {
			return nil, err
		}
		chain = append(chain, k)
		k = m.Parent
	}
	return chain, nil
}

// dirs are the directories of a part of a chain, the lowest first.
func (s *snapshots) dirs(chain []Key) []string {
	var dirs []string
	for _, k := range slices.Backward(chain) {
		dirs = append(dirs, s.disk.snapshot(k, "fs"))
	}
	return dirs
}

// turn says how a tree of one state becomes one of another. It is not ok where they have nothing in common. What is special in the state
// of the tree was moved out of it.
func (s *snapshots) turn(from, to Key) (t snapshotter.Turn, ok bool, err error) {
	old, err := s.chain(from)
	if err != nil {
		return t, false, err
	}
	chain, err := s.chain(to)
	if err != nil {
		return t, false, err
	}
	for n, k := range chain {
		switch at := slices.Index(old, k); {
		case at == 0:
			return snapshotter.Turn{Entered: s.dirs(chain[:n+1])}, true, nil
		case at > 0:
			return snapshotter.Turn{Left: s.dirs(old[:at]), Entered: s.dirs(chain[:n])}, true, nil
		}
	}
	return t, false, nil
}
