// What was compressed ahead of a layer, between the commit of a draft and the making of its layers.

package layers

import (
	"sync"

	"github.com/gbuild/gbuild/pkg/layers/split"
)

// aheads are of snapshots whose layers are not made yet.
type aheads struct {
	mu  sync.Mutex
	all map[Key]*split.Ahead
}

// keep is false where the state has one already.
func (s *aheads) keep(k Key, a *split.Ahead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, kept := s.all[k]; kept {
		return false
	}
	if s.all == nil {
		s.all = map[Key]*split.Ahead{}
	}
	s.all[k] = a
	return true
}

// take returns what was compressed ahead of the layers of the state k, nil if nothing was.
func (s *aheads) take(k Key) *split.Ahead {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.all[k]
	delete(s.all, k)
	return a
}

// drop drops all that was compressed ahead of layers that nobody wanted.
func (s *aheads) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.all {
		a.Close()
	}
	clear(s.all)
}
