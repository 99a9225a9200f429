// This file owns layers and images of files that a test names.

package testimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Time is the modification time of every file that this package writes.
var Time = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// File is one entry of a layer. The zero Type is a regular file, or a directory where Name ends in "/".
type File struct {
	Name     string // The name is relative to the root, without a leading slash.
	Type     byte   // The values are those of package tar.
	Mode     int64  // No mode means 0644, and 0755 for directories.
	UID, GID int
	Body     string
	Link     string            // Symbolic and hard links lead there.
	Xattrs   map[string]string // The keys are full names, such as "security.capability".
}

// header fills in what a test did not care to say.
func (f File) header() *tar.Header {
	h := &tar.Header{Name: f.Name, Typeflag: f.Type, Mode: f.Mode, Uid: f.UID, Gid: f.GID, Linkname: f.Link,
		Size: int64(len(f.Body)), ModTime: Time, Format: tar.FormatPAX}
	switch directory := f.Name != "" && f.Name[len(f.Name)-1] == '/'; {
	case h.Typeflag == 0 && directory:
		h.Typeflag = tar.TypeDir
	case h.Typeflag == 0:
		h.Typeflag = tar.TypeReg
	}
	switch {
	case h.Mode != 0:
	case h.Typeflag == tar.TypeDir:
		h.Mode = 0o755
	default:
		h.Mode = 0o644
	}
	for name, value := range f.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
	return h
}

// Tar writes files as a tar archive, in their order.
func Tar(files ...File) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if err := w.WriteHeader(f.header()); err != nil {
			return nil, fmt.Errorf("writing header of %s: %w", f.Name, err)
		}
		if _, err := io.WriteString(w, f.Body); err != nil {
			return nil, fmt.Errorf("writing %s: %w", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Layer makes a gzip layer of files.
func Layer(files ...File) (v1.Layer, error) {
	data, err := Tar(files...)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return partial.CompressedToLayer(&layer{data: buf.Bytes(), diffID: hash(data), digest: hash(buf.Bytes())})
}

// layer holds the compressed bytes; package partial makes a whole v1.Layer of it.
type layer struct {
	data           []byte
	diffID, digest v1.Hash
}

// The methods of layer are those that package partial asks for.
func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return int64(len(l.data)), nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.data)), nil
}

// hash is the digest that names bytes in images.
func hash(data []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(data))}
}

// Append returns base with one more layer of files.
func Append(base v1.Image, files ...File) (v1.Image, error) {
	layer, err := Layer(files...)
	if err != nil {
		return nil, err
	}
	return mutate.Append(base, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: Time}, CreatedBy: "testimage"}})
}

// scratch is an OCI image without layers for this machine.
func scratch(arch string, config v1.Config) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Created, file.Config = arch, "linux", v1.Time{Time: Time}, config
	return mutate.ConfigFile(img, file)
}
