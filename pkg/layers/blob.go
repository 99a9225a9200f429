package layers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// blobPath returns where a blob lies. It is the one gate between digests and file names.
func (s *Store) blobPath(h v1.Hash) (string, error) {
	if h.Algorithm != "sha256" || len(h.Hex) != 2*sha256.Size {
		return "", fmt.Errorf("parsing digest %q: want sha256 and 64 hexadecimal digits", h)
	}
	for _, c := range h.Hex {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("parsing digest %q: want 64 lower-case hexadecimal digits", h)
		}
	}
	return s.path("blobs", "sha256", h.Hex), nil
}

// hasBlob returns the size of a blob, and keeps it from being pruned until the store is closed.
func (s *Store) hasBlob(h v1.Hash) (int64, bool) {
	path, err := s.blobPath(h)
	if err != nil {
		return 0, false
	}
	var size int64
	ok := s.lease.hold("b "+h.Hex, path, func() bool {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		size = info.Size()
		return true
	})
	return size, ok
}

// PutBlob stores the bytes of r under their SHA-256. If want is not zero, they must have that digest. The media type of
// the descriptor is left empty.
func (s *Store) PutBlob(ctx context.Context, r io.Reader, want v1.Hash) (v1.Descriptor, error) {
	if want != (v1.Hash{}) {
		if _, err := s.blobPath(want); err != nil {
			return v1.Descriptor{}, err
		}
	}
	w, err := s.newBlob(ctx)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer w.abort()
	if _, err := io.CopyBuffer(w, codec.WithContext(ctx, r), make([]byte, copyBuffer)); err != nil {
		return v1.Descriptor{}, fmt.Errorf("writing a blob: %w", s.explain(err))
	}
	return w.commit(want)
}

// blobWriter writes one blob. It ends with commit or abort.
type blobWriter struct {
	store  *Store
	file   *os.File
	behind durable.Behind
	sum    hash.Hash // nil: the bytes come from a checked reader
	size   int64
	grows  *Growing // nil: nobody is to read it yet
}

func (s *Store) newBlob(ctx context.Context) (*blobWriter, error) {
	f, err := durable.Lock(ctx, s.path("ingest", rand.Text()), durable.Exclusive)
	if err != nil {
		return nil, fmt.Errorf("writing a blob: %w", err)
	}
	return &blobWriter{store: s, file: f, behind: durable.Behind{File: f}, sum: sha256.New()}, nil
}

// Write implements io.Writer.
func (w *blobWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if w.sum != nil {
		w.sum.Write(p[:n])
	}
	w.size += int64(n)
	w.behind.Reached(w.size)
	if w.grows != nil {
		w.grows.grow(w.size)
	}
	return n, err
}

// commit gives the bytes their name. They reach the disk beside what follows, see syncer.
func (w *blobWriter) commit(want v1.Hash) (v1.Descriptor, error) {
	got := want
	if w.sum != nil {
		got = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(w.sum.Sum(nil))}
	}
	if want != (v1.Hash{}) && got != want {
		return v1.Descriptor{}, &CorruptError{What: "blob " + want.String(), Err: fmt.Errorf("its bytes have the digest %s", got)}
	}
	if w.grows != nil {
		w.grows.end(got, nil)
		defer w.grows.announce()
	}
	d := v1.Descriptor{Digest: got, Size: w.size}
	if size, ok := w.store.hasBlob(got); ok && size == w.size {
		if w.grows != nil {
			w.grows.know()
		}
		return d, nil
	}
	path, err := w.store.blobPath(got)
	if err == nil {
		err = w.file.Chmod(0o444)
	}
	if err == nil {
		err = w.store.sync.mark(path)
	}
	if err == nil {
		err = os.Rename(w.file.Name(), path)
	}
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("storing blob %s: %w", got, err)
	}
	w.store.hasBlob(got)
	w.store.sync.soon()
	w.file.Close()
	w.file = nil
	return d, nil
}

// abort removes what was written. It does nothing after a commit.
func (w *blobWriter) abort() {
	if w.file != nil {
		if w.grows != nil {
			w.grows.end(v1.Hash{}, errGivenUp)
		}
		os.Remove(w.file.Name())
		w.file.Close()
		w.file = nil
	}
}

// Blob opens a blob and returns its size. The reader fails at the end if the bytes are not those of the digest; the blob
// is dropped then, so that it will be made or fetched again.
func (s *Store) Blob(h v1.Hash) (io.ReadCloser, int64, error) {
	if _, err := s.blobPath(h); err != nil {
		return nil, 0, err
	}
	size, ok := s.hasBlob(h)
	if !ok {
		return nil, 0, &NotFoundError{Kind: "blob", Name: h.String()}
	}
	r, err := s.openBlob(h)
	return r, size, err
}

// openBlob opens a blob without a lease on it.
func (s *Store) openBlob(h v1.Hash) (io.ReadCloser, error) {
	path, err := s.blobPath(h)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", h, err)
	}
	return &blobReader{store: s, file: f, digest: h, path: path, sum: sha256.New()}, nil
}

type blobReader struct {
	store  *Store
	file   *os.File
	digest v1.Hash
	path   string
	sum    hash.Hash
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	r.sum.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(r.sum.Sum(nil)) != r.digest.Hex {
		r.store.discard(r.path)
		return n, &CorruptError{What: "blob " + r.digest.String(), Err: errors.New("its bytes have another digest; it was dropped")}
	}
	return n, err
}

// Close implements io.Closer.
func (r *blobReader) Close() error { return r.file.Close() }

// readBlob returns a small blob.
func (s *Store) readBlob(h v1.Hash) ([]byte, error) {
	if _, ok := s.hasBlob(h); !ok {
		return nil, &NotFoundError{Kind: "blob", Name: h.String()}
	}
	return s.peekBlob(h)
}

// peekBlob is readBlob without a lease on the blob.
func (s *Store) peekBlob(h v1.Hash) ([]byte, error) {
	r, err := s.openBlob(h)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("reading blob %s: it has more than %d bytes", h, maxDocument)
	}
	return data, err
}

const maxDocument = 8 << 20 // of a manifest or a config

// copyBuffer is how many bytes are copied at once.
const copyBuffer = 256 << 10

// storedLayer is a layer whose bytes are a blob here, or can be had from where they came from.
type storedLayer struct {
	store  *Store
	record layerRecord
}

// layerRecord is what is remembered of a layer.
type layerRecord struct {
	DiffID    v1.Hash         `json:"diffID"`
	Digest    v1.Hash         `json:"digest"`
	Size      int64           `json:"size"`
	MediaType types.MediaType `json:"mediaType"`
	Source    string          `json:"source,omitempty"` // of a layer that came from elsewhere
	Made      time.Time       `json:"made,omitzero"`

	Annotations map[string]string `json:"annotations,omitempty"` // of its descriptor

	Distributions []string `json:"distributions,omitempty"`
}

// Digest implements v1.Layer.
func (l *storedLayer) Digest() (v1.Hash, error) { return l.record.Digest, nil }

// DiffID implements v1.Layer.
func (l *storedLayer) DiffID() (v1.Hash, error) { return l.record.DiffID, nil }

// Size implements v1.Layer.
func (l *storedLayer) Size() (int64, error) { return l.record.Size, nil }

// MediaType implements v1.Layer.
func (l *storedLayer) MediaType() (types.MediaType, error) { return l.record.MediaType, nil }

// Descriptor is what a manifest says of the layer. ggcr's partial.Descriptor finds it.
func (l *storedLayer) Descriptor() (*v1.Descriptor, error) {
	r := l.record
	return &v1.Descriptor{MediaType: r.MediaType, Size: r.Size, Digest: r.Digest, Annotations: r.Annotations}, nil
}

// Source returns the repository that the layer came from, "" if it was made here.
func (l *storedLayer) Source() string { return l.record.Source }

// Compressed implements v1.Layer.
func (l *storedLayer) Compressed() (io.ReadCloser, error) {
	r, _, err := l.store.Blob(l.record.Digest)
	if !errors.Is(err, fs.ErrNotExist) || l.record.Source == "" || l.store.Fetch == nil {
		return r, err
	}
	d := v1.Descriptor{Digest: l.record.Digest, Size: l.record.Size, MediaType: l.record.MediaType}
	layer, err := l.store.Fetch(context.Background(), l.record.Source, d)
	if err != nil {
		return nil, fmt.Errorf("fetching layer %s from %s: %w", d.Digest, l.record.Source, err)
	}
	return layer.Compressed()
}

// Uncompressed implements v1.Layer.
func (l *storedLayer) Uncompressed() (io.ReadCloser, error) {
	compressed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	r, err := codec.Decompress(compressed)
	if err != nil {
		return nil, errors.Join(err, compressed.Close())
	}
	return &joinedReader{r, compressed}, nil
}

type joinedReader struct {
	io.ReadCloser
	below io.Closer
}

// Close closes both readers.
func (r *joinedReader) Close() error { return errors.Join(r.ReadCloser.Close(), r.below.Close()) }
