// What the filesystem of a state directory is fit for. It is looked at before the first snapshot is begun, and not earlier: names,
// records and blobs can lie anywhere.

package layers

import (
	"fmt"

	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// canHold says why no snapshot can be made in the store, or nil.
func (d disk) canHold() error { return snapshotter.CanHold(string(d)) }

// findWay finds out how drafts are shown, and says so where it is not the best way.
func (s *Store) findWay() (snapshotter.Way, error) {
	if s.Copies {
		return snapshotter.Copied, nil
	}
	j, err := snapshotter.Judge(string(s.disk))
	if err == nil && j.Way == snapshotter.None {
		err = s.canHold()
	}
	if err != nil {
		return j.Way, err
	}
	if j.Why != nil {
		s.notice(fmt.Sprintf("RUN works on a copy of all files, which takes time and space, since no overlay can be mounted in %s (%v); "+
			"put the store on a local disk (ext4, xfs, btrfs) or a volume of one, by --root", s.disk, j.Why))
	}
	return j.Way, nil
}
