package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gbuild/gbuild/internal/durable"
)

// A record is a file records/<kind>/<key>: the SHA-256 of the value, then the value. One that was cut off by a crash
// does not have its digest and is as good as none, so that records need no fsync.

func (s *Store) recordPath(kind string, k Key) string {
	for _, c := range kind {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			sum := sha256.Sum256([]byte(kind))
			kind = "x" + hex.EncodeToString(sum[:])
			break
		}
	}
	if kind == "" {
		kind = "x"
	}
	return s.path("records", kind, k.String())
}

// Recall returns what was remembered of the kind under k.
func (s *Store) Recall(kind string, k Key) ([]byte, bool) {
	data, err := os.ReadFile(s.recordPath(kind, k))
	if err != nil || len(data) < sha256.Size {
		return nil, false
	}
	value := data[sha256.Size:]
	if sha256.Sum256(value) != [32]byte(data[:sha256.Size]) {
		return nil, false
	}
	return value, true
}

// Remember keeps a small value of the kind under k, in the place of an earlier one.
func (s *Store) Remember(kind string, k Key, v []byte) error {
	path := s.recordPath(kind, k)
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

// recallLayer returns the layer that is remembered of the kind under k.
func (s *Store) recallLayer(kind string, k Key) (*storedLayer, bool) {
	data, ok := s.Recall(kind, k)
	if !ok {
		return nil, false
	}
	l := &storedLayer{store: s}
	return l, json.Unmarshal(data, &l.record) == nil
}

func (s *Store) rememberLayer(kind string, k Key, r layerRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.Remember(kind, k, data)
}

// readLayers reads a record of one layer, or of several.
func readLayers(data []byte) (all []layerRecord) {
	var one layerRecord
	if json.Unmarshal(data, &one) == nil {
		return []layerRecord{one}
	}
	if json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}
