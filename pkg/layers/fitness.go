// What the filesystem of a state directory is fit for. It is looked at before the first snapshot is begun, and not earlier: names,
// records and blobs can lie anywhere.

package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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

// JudgeDir says how a store in dir shows the files of a state to a command, and why not in a better way. A directory that does not
// exist yet is judged by the one that it will be made in. Nothing stays behind.
func JudgeDir(dir string) (snapshotter.Judgement, error) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err = os.Stat(dir); err == nil {
			return snapshotter.Judge(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir, err = filepath.Dir(dir), nil
	}
	return snapshotter.Judgement{}, err
}
