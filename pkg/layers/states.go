// The files of states, as views. A state is the stack of its snapshot and all that it stands on.

package layers

import "github.com/gbuild/gbuild/pkg/layers/rootfs"

// view returns the merged files of the state k, which must not be packed (see Expand).
func (s *snapshots) view(k Key) (*rootfs.View, error) {
	dirs, err := s.stack(k)
	if err != nil {
		return nil, err
	}
	return rootfs.MergedView(dirs, s.rootDepth(k, dirs)), nil
}

// changed returns the files that the state k has of its own, without those of what it stands on.
func (s *snapshots) changed(k Key) (*rootfs.View, error) {
	dirs, err := s.stack(k)
	if err != nil || len(dirs) == 0 {
		return rootfs.NewView(), err
	}
	return rootfs.NewView(dirs[0]), nil
}

// below returns the view of what the snapshot of k stands on.
func (s *snapshots) below(k Key) (*rootfs.View, error) {
	m, err := s.heldMeta(k)
	if err != nil {
		return nil, err
	}
	return s.view(m.Parent)
}

// rootDepth says how many snapshots of the state k, which are in dirs, its root directory is merged of. It is remembered:
// a build of many layers looks at each state.
func (s *snapshots) rootDepth(k Key, dirs []string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for at := k; n < len(dirs); at = s.known[at].Parent {
		below, known := s.roots[at]
		if known {
			n += below
			break
		}
		if n++; rootfs.IsOpaque(dirs[n-1]) {
			break
		}
	}
	s.roots[k] = n
	return n
}
