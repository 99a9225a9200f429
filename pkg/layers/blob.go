// Blobs: reading and writing bytes that are named by their digest. A blob is written below ingest/ and gets its name at the end;
// its bytes are checked whenever they are read to the end.

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
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/growing"
	"github.com/gbuild/gbuild/pkg/layers/lease"
)

// blobs are bytes under their SHA-256.
type blobs struct {
	disk  disk
	lease *lease.Lease
	sync  *syncer
	hooks *Hooks
}

// has returns the size of a blob, and keeps it from being pruned until the store is closed.
func (s *blobs) has(h v1.Hash) (int64, bool) {
	path, err := s.disk.blob(h)
	if err != nil {
		return 0, false
	}
	var size int64
	ok := s.lease.Hold(blobEntry(h.Hex), path, func() bool {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		size = info.Size()
		return true
	})
	return size, ok
}

// put stores the bytes of r under their SHA-256. If want is not zero, they must have that digest. The media type of
// the descriptor is left empty.
func (s *blobs) put(ctx context.Context, r io.Reader, want v1.Hash) (v1.Descriptor, error) {
	if want != (v1.Hash{}) {
		if _, err := s.disk.blob(want); err != nil {
			return v1.Descriptor{}, err
		}
	}
	w, err := s.create(ctx)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer w.abort()
	if _, err := io.CopyBuffer(w, codec.WithContext(ctx, r), make([]byte, copyBuffer)); err != nil {
		return v1.Descriptor{}, fmt.Errorf("writing a blob: %w", s.disk.explain(err))
	}
	return w.commit(want)
}

// errGivenUp is what readers of a blob get that does not come to its end.
var errGivenUp = errors.New("the layer was given up")

// blobWriter writes one blob. It ends with commit or abort.
type blobWriter struct {
	blobs  *blobs
	file   *os.File
	behind durable.Behind
	sum    hash.Hash // nil: the bytes come from a checked reader
	size   int64
	grows  *growing.Blob // nil: nobody is to read it yet
}

func (s *blobs) create(ctx context.Context) (*blobWriter, error) {
	f, err := durable.Lock(ctx, s.disk.path("ingest", rand.Text()), durable.Exclusive)
	if err != nil {
		return nil, fmt.Errorf("writing a blob: %w", err)
	}
	return &blobWriter{blobs: s, file: f, behind: durable.Behind{File: f}, sum: sha256.New()}, nil
}

// send gives the blob to Sending, if somebody waits for it, when it has a size or is whole.
func (w *blobWriter) send(from int64) {
	if w.blobs.hooks.Sending != nil && from != sendNever {
		w.grows = growing.New(w.file.Name(), from, w.blobs.hooks.Sending, w.blobs.peek)
	}
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
		w.grows.Grow(w.size)
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
		w.grows.End(got, nil)
		defer w.grows.Announce()
	}
	d := v1.Descriptor{Digest: got, Size: w.size}
	if size, ok := w.blobs.has(got); ok && size == w.size {
		if w.grows != nil {
			w.grows.Know()
		}
		return d, nil
	}
	path, err := w.blobs.disk.blob(got)
	if err == nil {
		err = w.file.Chmod(0o444)
	}
	if err == nil {
		err = w.blobs.sync.mark(path)
	}
	if err == nil {
		err = os.Rename(w.file.Name(), path)
	}
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("storing blob %s: %w", got, err)
	}
	w.blobs.has(got)
	w.blobs.sync.soon()
	w.file.Close()
	w.file = nil
	return d, nil
}

// abort removes what was written. It does nothing after a commit.
func (w *blobWriter) abort() {
	if w.file != nil {
		if w.grows != nil {
			w.grows.End(v1.Hash{}, errGivenUp)
		}
		os.Remove(w.file.Name())
		w.file.Close()
		w.file = nil
	}
}

// open opens a blob and returns its size. The reader fails at the end if the bytes are not those of the digest; the blob
// is dropped then, so that it will be made or fetched again.
func (s *blobs) open(h v1.Hash) (io.ReadCloser, int64, error) {
	if _, err := s.disk.blob(h); err != nil {
		return nil, 0, err
	}
	size, ok := s.has(h)
	if !ok {
		return nil, 0, &NotFoundError{Kind: "blob", Name: h.String()}
	}
	r, err := s.peek(h)
	return r, size, err
}

// peek opens a blob without a lease on it.
func (s *blobs) peek(h v1.Hash) (io.ReadCloser, error) {
	path, err := s.disk.blob(h)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", h, err)
	}
	return &blobReader{disk: s.disk, file: f, digest: h, path: path, sum: sha256.New()}, nil
}

type blobReader struct {
	disk   disk
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
		r.disk.discard(r.path)
		return n, &CorruptError{What: "blob " + r.digest.String(), Err: errors.New("its bytes have another digest; it was dropped")}
	}
	return n, err
}

// Close implements io.Closer.
func (r *blobReader) Close() error { return r.file.Close() }

// read returns a small blob.
func (s *blobs) read(h v1.Hash) ([]byte, error) {
	if _, ok := s.has(h); !ok {
		return nil, &NotFoundError{Kind: "blob", Name: h.String()}
	}
	return s.peekAll(h)
}

// peekAll is read without a lease on the blob.
func (s *blobs) peekAll(h v1.Hash) ([]byte, error) {
	r, err := s.peek(h)
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

const maxDocument = 8 << 20 // the bytes that a manifest or a config may have

// copyBuffer is how many bytes are copied at once.
const copyBuffer = 256 << 10
