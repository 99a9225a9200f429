// Records, the small facts of a store. A record is a file records/<kind>/<key>: the SHA-256 of the value, then the value. One that
// was cut off by a crash does not have its digest and is as good as none, so that records need no fsync.

package layers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gbuild/gbuild/internal/durable"
)

// records are a directory of records.
type records struct{ disk disk }

// recall returns what was remembered of the kind under k.
func (r records) recall(kind string, k Key) ([]byte, bool) {
	data, err := os.ReadFile(r.disk.record(kind, k))
	if err != nil || len(data) < sha256.Size {
		return nil, false
	}
	value := data[sha256.Size:]
	if sha256.Sum256(value) != [32]byte(data[:sha256.Size]) {
		return nil, false
	}
	return value, true
}

// remember keeps a small value of the kind under k, in the place of an earlier one.
func (r records) remember(kind string, k Key, v []byte) error {
	path := r.disk.record(kind, k)
	sum := sha256.Sum256(v)
	data := append(sum[:], v...)
	err := durable.Replace(path, data)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = durable.Replace(path, data)
		}
	}
	if err != nil {
		return fmt.Errorf("remembering a %s: %w", kind, err)
	}
	return nil
}
