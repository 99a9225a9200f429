// This file writes OCI layout directories.

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/outfile"
)

// writeLayout adds an image to an OCI layout directory, which it makes where there is none. An image of the same name
// is replaced in the index, or all are; blobs are never removed.
func writeLayout(ctx context.Context, r Ref, img v1.Image, o WriteOptions) (v1.Hash, error) {
	b, err := newBundle(img, r, o)
	if err != nil {
		return v1.Hash{}, err
	}
	unlock, err := lockLayout(r.Path)
	if err != nil {
		return v1.Hash{}, err
	}
	defer unlock()
	m := &meter{report: o.Report}
	m.add(0, b.size())
	if err := writeDir(ctx, r, b, o, m); err != nil {
		return v1.Hash{}, fmt.Errorf("writing %s: %w", r, withSpace(err, r.Path, b.size()))
	}
	return b.desc.Digest, nil
}

// lockLayout makes sure that dir is a layout or can become one, and locks it against another writer. The lock is on the
// directory itself, so that no file is left in it.
func lockLayout(dir string) (unlock func(), err error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, hint.Errorf("name a directory, or write oci-archive:FILE", "%s: it is no directory", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making layout: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening layout: %w", err)
	}
	if err := durable.Hold(d, durable.Exclusive); err != nil {
		d.Close()
		return nil, fmt.Errorf("locking layout: %w", err)
	}
	entries, err := d.Readdirnames(1)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, layoutFile)); err != nil {
			d.Close()
			return nil, hint.Errorf("choose an empty directory", "%s: it has files in it and is no OCI layout", dir)
		}
	}
	return func() { d.Close() }, nil
}

// writeDir writes blobs first and the index last, so that what the index names is always there.
func writeDir(ctx context.Context, r Ref, b *bundle, o WriteOptions, m *meter) error {
	for _, name := range []string{"blobs", "blobs/sha256"} {
		if err := os.Mkdir(filepath.Join(r.Path, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making layout: %w", err)
		}
	}
	// The mark comes before the blobs: a write that is cut off leaves a directory that the next one accepts.
	err := outfile.Write(ctx, filepath.Join(r.Path, layoutFile), func(w io.Writer) error {
		_, err := io.WriteString(w, layoutVersion)
		return err
	})
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(blobsAtATime)
	for _, f := range b.blobs {
		g.Go(func() error { return f.writeTo(gctx, r.Path, m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if o.Alone {
		return replaceIndex(ctx, r.Path, b.descriptors())
	}
	return writeIndex(ctx, r, b)
}

// writeTo writes a blob under its digest, unless the same bytes are there already.
func (f blobFile) writeTo(ctx context.Context, dir string, m *meter) error {
	path := filepath.Join(dir, blobPath(f.desc.Digest))
	if f.sameAs(path) {
		m.add(f.desc.Size, 0)
		return nil
	}
	rc, err := f.read(m)
	if err != nil {
		return err
	}
	defer rc.Close()
	return outfile.Write(ctx, path, func(w io.Writer) error { return copyBlob(ctx, w, rc, f.desc) })
}

// sameAs reads the file: one of the right name may have been cut off or rotted.
func (f blobFile) sameAs(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	n, err := io.Copy(io.Discard, verified(file, path, f.desc))
	return err == nil && n == f.desc.Size
}

// writeIndex replaces the entries of the same names, and those that only name the same manifest.
func writeIndex(ctx context.Context, r Ref, b *bundle) error {
	var kept []v1.Descriptor
	old, err := (&layout{r, dirTree(r.Path)}).index()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	added := b.descriptors()
	if old != nil {
		kept = slices.DeleteFunc(old.Manifests, func(d v1.Descriptor) bool { return replaced(d, added) })
	}
	return replaceIndex(ctx, r.Path, append(kept, added...))
}

// replaceIndex makes a new index.json appear whole.
func replaceIndex(ctx context.Context, dir string, ds []v1.Descriptor) error {
	raw, err := index(ds)
	if err != nil {
		return err
	}
	return outfile.Write(ctx, filepath.Join(dir, "index.json"), func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

// replaced says whether one of the new entries stands for an old one: it has the same name, or the same manifest and no name.
func replaced(old v1.Descriptor, added []v1.Descriptor) bool {
	for _, d := range added {
		sameName := old.Annotations[annotationRefName] == d.Annotations[annotationRefName] &&
			old.Annotations[annotationImageName] == d.Annotations[annotationImageName]
		if sameName && (d.Annotations[annotationRefName] != "" || old.Digest == d.Digest) {
			return true
		}
	}
	return false
}
