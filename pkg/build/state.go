// This file owns the records that lead from an image that was built here to its state.

package build

import (
	"bytes"
	"encoding/hex"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/layers"
)

// recordState is the kind of the records that lead from the id of an image that was built here to its files, which are
// stored already: running it, or building on it, unpacks nothing.
const recordState = "state"

// rememberState keeps which state an image has that was built here.
func rememberState(s *layers.Store, img v1.Image, k layers.Key) error {
	id, err := imageKey(img)
	if err != nil {
		return err
	}
	if v, ok := s.Recall(recordState, id); ok && bytes.Equal(v, k[:]) {
		return nil
	}
	return s.Remember(recordState, id, k[:])
}

// StateOf names the files of an image: the state that it was built as, where this store has that, else what Unpack of
// its layers makes.
func StateOf(s *layers.Store, img v1.Image) (k layers.Key, err error) {
	id, err := imageKey(img)
	if err != nil {
		return k, err
	}
	if v, ok := s.Recall(recordState, id); ok && len(v) == len(k) && s.Has(layers.Key(v)) {
		return layers.Key(v), nil
	}
	config, err := img.ConfigFile()
	if err != nil {
		return k, err
	}
	return chainOf(config), nil
}

// chainOf names the files of an image by its layers.
func chainOf(config *v1.ConfigFile) (k layers.Key) {
	for _, id := range config.RootFS.DiffIDs {
		k = layers.ChainKey(k, id)
	}
	return k
}

// imageKey is the image id as the name of a record.
func imageKey(img v1.Image) (k layers.Key, err error) {
	id, err := img.ConfigName()
	if err != nil {
		return k, fmt.Errorf("naming the image: %w", err)
	}
	_, err = hex.Decode(k[:], []byte(id.Hex))
	return k, err
}
