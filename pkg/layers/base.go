package layers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/gbuild/gbuild/internal/durable"
)

// baseImageKind is the record of an image that a registry had under a name: manifest and config are kept, its layers
// are wherever they came from. It is no local image: nothing keeps its blobs from being pruned, and then it is forgotten.
const baseImageKind = "base"

// KeepBase remembers an image of a registry under a name, so that Base finds it again without the registry.
func (s *Store) KeepBase(name string, img v1.Image) error {
	r := nameRecord{Name: name, Sources: map[string]string{}, Tagged: time.Now()}
	if err := s.keep(img, &r); err != nil {
		return fmt.Errorf("remembering image %s: %w", name, err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("remembering image %s: %w", name, err)
	}
	return s.Remember(baseImageKind, sha256.Sum256([]byte(name)), data)
}

// Base returns the image that KeepBase remembered. The error is a *NotFoundError where there is none.
func (s *Store) Base(name string) (v1.Image, error) {
	var r nameRecord
	data, ok := s.Recall(baseImageKind, sha256.Sum256([]byte(name)))
	if !ok || json.Unmarshal(data, &r) != nil {
		return nil, &NotFoundError{Kind: "base image", Name: name}
	}
	return s.open(r)
}

// TempDir makes a private directory, and the function that removes it. After a crash a later Open removes it.
func (s *Store) TempDir(ctx context.Context) (dir string, remove func() error, err error) {
	dir = s.path("ingest", rand.Text())
	held, err := durable.Lock(ctx, dir+".lock", durable.Exclusive)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	return dir, func() error {
		defer held.Close()
		return errors.Join(os.RemoveAll(dir), os.Remove(dir+".lock"))
	}, nil
}

// nearLayer is a layer of elsewhere whose bytes are read here once they are here.
type nearLayer struct {
	v1.Layer
	store *Store
}

// Near returns l, read from the store from the time on when its bytes are there.
func (s *Store) Near(l v1.Layer) v1.Layer { return &nearLayer{l, s} }

// Compressed implements v1.Layer.
func (l *nearLayer) Compressed() (io.ReadCloser, error) {
	h, err := l.Digest()
	if err != nil {
		return nil, err
	}
	if r, _, err := l.store.Blob(h); err == nil {
		return r, nil
	}
	return l.Layer.Compressed()
}

// Source is that of the layer elsewhere.
func (l *nearLayer) Source() string { return sourceOf(l.Layer) }

// Descriptor is what the manifest elsewhere says of the layer. ggcr's partial.Descriptor finds it.
func (l *nearLayer) Descriptor() (*v1.Descriptor, error) { return partial.Descriptor(l.Layer) }
