// What the filesystem of a state directory is fit for. It is looked at before the first snapshot is begun, and not earlier: names,
// records and blobs can lie anywhere.

package layers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// canHold says why no snapshot can be made in the store, or nil.
func (d disk) canHold() error { return snapshotter.CanHold(string(d)) }

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
