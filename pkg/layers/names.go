// The names of local images: giving, taking away, finding and listing them. A name of an image is a file
// names/<SHA-256 of the name>.json. It is written when all that it names is in the store.

package layers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
)

// images are the local images.
type images struct {
	disk    disk
	blobs   *blobs
	records records
	sync    *syncer
	hooks   *Hooks
}

func (s *images) open(r nameRecord) (*image, error) { return openImage(s.blobs, r, s.blobs.read) }

// same says whether two records name the same image in the same places.
func (r nameRecord) same(o nameRecord) bool {
	return r.Name == o.Name && r.Digest == o.Digest && maps.Equal(r.Sources, o.Sources)
}

// tag gives an image a local name, in the place of the image that had it before. Manifest, config and the layers that
// have no source elsewhere become blobs first, and are on the disk when the name is there.
func (s *images) tag(name string, img v1.Image) error {
	if name == "" {
		return errors.New("naming an image: the name is empty")
	}
	r := nameRecord{Name: name, Sources: map[string]string{}, Tagged: time.Now()}
	if err := s.keep(img, &r); err != nil {
		return fmt.Errorf("naming an image %s: %w", name, err)
	}
	if old, err := readName(s.disk.name(name)); err == nil && old.same(r) {
		return nil // two flushes less for a build in which nothing changed
	}
	data, err := json.Marshal(r)
	if err == nil {
		err = s.sync.flush()
	}
	if err == nil {
		err = durable.Save(s.disk.name(name), data)
	}
	if err != nil {
		return fmt.Errorf("naming an image %s: %w", name, err)
	}
	return nil
}

// keep stores what an image consists of.
func (s *images) keep(img v1.Image, r *nameRecord) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := s.keepLayer(l, r); err != nil {
			return err
		}
	}
	for _, read := range []func() ([]byte, error){img.RawConfigFile, img.RawManifest} {
		data, err := read()
		if err != nil {
			return err
		}
		if r.Digest, err = s.keepBytes(data); err != nil {
			return err
		}
	}
	return nil
}

// keepBytes stores a manifest or a config.
func (s *images) keepBytes(data []byte) (v1.Hash, error) {
	digest := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(data))}
	if _, ok := s.blobs.has(digest); ok {
		return digest, nil
	}
	d, err := s.blobs.put(context.Background(), bytes.NewReader(data), digest)
	return d.Digest, err
}

// keepLayer stores a layer, unless it is here or can be had from where it came from.
func (s *images) keepLayer(l v1.Layer, r *nameRecord) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	source := sourceOf(l)
	if source != "" {
		r.Sources[digest.String()] = source
	}
	if _, ok := s.blobs.has(digest); ok || source != "" {
		return nil
	}
	data, err := l.Compressed()
	if err != nil {
		return fmt.Errorf("reading layer %s: %w", digest, err)
	}
	defer data.Close()
	_, err = s.blobs.put(context.Background(), data, digest)
	return err
}

// untag removes a local name. The image stays until it is pruned.
func (s *images) untag(name string) error {
	err := os.Remove(s.disk.name(name))
	if errors.Is(err, fs.ErrNotExist) {
		return &NotFoundError{Kind: "image", Name: name}
	}
	if err != nil {
		return fmt.Errorf("removing the name %s: %w", name, err)
	}
	return durable.SyncDir(s.disk.path("names"))
}

// all returns the records of all names, sorted by name.
func (s *images) all() ([]nameRecord, error) {
	files, err := filepath.Glob(s.disk.path("names") + "/*.json")
	if err != nil {
		return nil, err
	}
	var records []nameRecord
	for _, path := range files {
		if r, err := readName(path); err == nil {
			records = append(records, r)
		} else if !errors.Is(err, fs.ErrNotExist) {
			s.hooks.notice(err.Error())
		}
	}
	sort.Slice(records, func(i, j int) bool { return records[i].Name < records[j].Name })
	return records, nil
}

// readName reads the record of a name.
func readName(path string) (nameRecord, error) {
	var r nameRecord
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("reading an image name: %w", err)
	}
	return r, nil
}

// find returns a local image by its name, or by the first digits (four or more) of its id or digest.
func (s *images) find(name string) (v1.Image, error) {
	r, err := readName(s.disk.name(name))
	if err == nil {
		return s.open(r)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s.byDigest(name)
}

// byDigest returns the one image whose id or digest begins so.
func (s *images) byDigest(name string) (v1.Image, error) {
	prefix := strings.TrimPrefix(name, "sha256:")
	if len(prefix) < 4 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, &NotFoundError{Kind: "image", Name: name}
	}
	records, err := s.all()
	if err != nil {
		return nil, err
	}
	var found *image
	for _, r := range records {
		img, err := s.open(r)
		if err != nil {
			continue
		}
		if !strings.HasPrefix(r.Digest.Hex, prefix) && !strings.HasPrefix(img.manifest.Config.Digest.Hex, prefix) {
			continue
		}
		if found != nil && found.record.Digest != r.Digest {
			return nil, hint.Errorf("give more digits", "more than one image starts with %s", name)
		}
		found = img
	}
	if found == nil {
		return nil, &NotFoundError{Kind: "image", Name: name}
	}
	return found, nil
}

// list lists the local images, sorted by name. One that cannot be read is left out.
func (s *images) list() ([]ImageInfo, error) {
	records, err := s.all()
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	var infos []ImageInfo
	for _, r := range records {
		img, err := s.open(r)
		if err != nil {
			s.hooks.notice(err.Error())
			continue
		}
		infos = append(infos, img.info())
	}
	return infos, nil
}
