// Images of registries that builds begin with. Manifest and config are kept, and layers stay where they are until somebody reads
// them.

package layers

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// baseImageKind is the record of an image that a registry had under a name: manifest and config are kept, its layers
// are wherever they came from. It is no local image: nothing keeps its blobs from being pruned, and then it is forgotten.
const baseImageKind = "base"

// keepBase remembers an image of a registry under a name, so that base finds it again without the registry.
func (s *images) keepBase(name string, img v1.Image) error {
	r := nameRecord{Name: name, Sources: map[string]string{}, Tagged: time.Now()}
	if err := s.keep(img, &r); err != nil {
		return fmt.Errorf("remembering image %s: %w", name, err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("remembering image %s: %w", name, err)
	}
	return s.records.remember(baseImageKind, sha256.Sum256([]byte(name)), data)
}

// base returns the image that keepBase remembered. The error is a *NotFoundError where there is none.
func (s *images) base(name string) (v1.Image, error) {
	var r nameRecord
	data, ok := s.records.recall(baseImageKind, sha256.Sum256([]byte(name)))
	if !ok || json.Unmarshal(data, &r) != nil {
		return nil, &NotFoundError{Kind: "base image", Name: name}
	}
	return s.open(r)
}
