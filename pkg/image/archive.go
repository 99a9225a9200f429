// This file writes images as tar archives: OCI layouts, and what docker load reads.

package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/outfile"
)

// writeArchive writes an image as a tar: an OCI layout, and for Docker its manifest.json too. The file appears whole or
// not at all.
func writeArchive(ctx context.Context, r Ref, img v1.Image, o WriteOptions) (v1.Hash, error) {
	b, err := newBundle(img, r, o)
	if err != nil {
		return v1.Hash{}, err
	}
	m := &meter{report: o.Report}
	m.add(0, b.size())
	write := func(w io.Writer) error { return writeTar(ctx, w, b, m) }
	if r.Path == Stdout {
		if o.Output == nil {
			return v1.Hash{}, badRef(r.String(), "there is no standard output to write to")
		}
		return b.desc.Digest, outfile.Await(ctx, func() error { return write(o.Output) })
	}
	if err := outfile.Write(ctx, r.Path, write); err != nil {
		return v1.Hash{}, fmt.Errorf("writing %s: %w", r, withSpace(err, filepath.Dir(r.Path), b.size()))
	}
	return b.desc.Digest, nil
}

// writeTar writes metadata first, so that a reader of a stream knows what comes.
func writeTar(ctx context.Context, w io.Writer, b *bundle, m *meter) error {
	t := &tarFile{tar.NewWriter(w), b.created}
	if b.created.IsZero() {
		t.time = time.Unix(0, 0)
	}
	raw, err := index(b.descriptors())
	if err != nil {
		return err
	}
	err = errors.Join(t.dir("blobs/"), t.dir("blobs/sha256/"), t.bytes(layoutFile, []byte(layoutVersion)), t.bytes("index.json", raw))
	if err != nil {
		return err
	}
	if b.kind == KindDockerArchive {
		raw, err := b.dockerManifest()
		if err != nil {
			return err
		}
		if err := t.bytes("manifest.json", raw); err != nil {
			return err
		}
	}
	for _, f := range b.blobs {
		if err := t.blob(ctx, f, m); err != nil {
			return err
		}
	}
	if err := t.w.Close(); err != nil {
		return fmt.Errorf("ending tar: %w", err)
	}
	return nil
}

// tarFile writes entries that depend on nothing but the image.
type tarFile struct {
	w    *tar.Writer
	time time.Time
}

// header writes an entry without an owner, whose time is that of the image: the same image makes the same tar.
func (t *tarFile) header(name string, kind byte, mode, size int64) error {
	h := &tar.Header{Name: name, Typeflag: kind, Mode: mode, Size: size, ModTime: t.time.Truncate(time.Second)}
	if err := t.w.WriteHeader(h); err != nil {
		return fmt.Errorf("writing tar: %w", err)
	}
	return nil
}

func (t *tarFile) dir(name string) error { return t.header(name, tar.TypeDir, 0o755, 0) }

func (t *tarFile) bytes(name string, raw []byte) error {
	if err := t.header(name, tar.TypeReg, 0o644, int64(len(raw))); err != nil {
		return err
	}
	if _, err := t.w.Write(raw); err != nil {
		return fmt.Errorf("writing tar: %w", err)
	}
	return nil
}

// blob writes a blob of the image. Its digest is checked when its last byte is written.
func (t *tarFile) blob(ctx context.Context, f blobFile, m *meter) error {
	rc, err := f.read(m)
	if err != nil {
		return err
	}
	defer rc.Close()
	if err := t.header(blobPath(f.desc.Digest), tar.TypeReg, 0o644, f.desc.Size); err != nil {
		return err
	}
	return copyBlob(ctx, t.w, rc, f.desc)
}

// copyBlob copies until EOF, where the digest is checked, or until the context ends.
func copyBlob(ctx context.Context, w io.Writer, r io.Reader, d v1.Descriptor) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, &cancelled{ctx, r}, make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("writing blob %s: %w", d.Digest, err)
	}
	return nil
}

// cancelled ends a copy when its context does.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
