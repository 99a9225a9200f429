// This file lists the images of an OCI layout directory, and removes them.

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
)

// layoutTags lists the names of the images in a layout.
func layoutTags(r Ref) ([]string, error) {
	l, err := openTree(r)
	if err != nil {
		return nil, err
	}
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, d := range index.Manifests {
		if tag := d.Annotations[annotationRefName]; tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// removeFromLayout takes an image out of the index, and then the blobs that no other one refers to.
func removeFromLayout(ctx context.Context, r Ref) error {
	unlock, err := lockLayout(r.Path)
	if err != nil {
		return err
	}
	defer unlock()
	l := &layout{r, dirTree(r.Path)}
	index, err := l.index()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool { return named(d, r.Tag) })
	used, err := l.used(left)
	if err != nil {
		return fmt.Errorf("removing %s: %w", r, err)
	}
	if err := replaceIndex(ctx, r.Path, left); err != nil {
		return err
	}
	return sweepLayout(r.Path, used)
}

// used names every blob that the manifests, and indexes among them, refer to.
func (l *layout) used(manifests []v1.Descriptor) (map[string]bool, error) {
	used := map[string]bool{}
	for len(manifests) > 0 {
		d := manifests[0]
		manifests = manifests[1:]
		if used[d.Digest.Hex] {
			continue
		}
		used[d.Digest.Hex] = true
		raw, err := readFile(l.tree, blobPath(d.Digest), MaxManifest, l.ref)
		if err != nil {
			return nil, err
		}
		var m struct {
			Config            *v1.Descriptor
			Layers, Manifests []v1.Descriptor
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, hint.Errorf(noRemedy, "%s: a manifest in it is no JSON", l.ref)
		}
		if m.Config != nil {
			used[m.Config.Digest.Hex] = true
		}
		for _, layer := range m.Layers {
			used[layer.Digest.Hex] = true
		}
		manifests = append(manifests, m.Manifests...)
	}
	return used, nil
}

// sweepLayout removes the blobs that are not used. One that is gone already is no error: two may sweep after each other.
func sweepLayout(dir string, used map[string]bool) error {
	blobs := filepath.Join(dir, "blobs", "sha256")
	files, err := os.ReadDir(blobs)
	if err != nil {
		return fmt.Errorf("removing blobs: %w", err)
	}
	for _, f := range files {
		if used[f.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(blobs, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing blobs: %w", err)
		}
	}
	return nil
}
