// This file reads bytes that strangers sent: whole ones up to a size, and blobs against their digest.

package image

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/image/wire"
)

// MaxManifest is the size of the largest manifest that is read, in bytes: the distribution spec asks registries to take so much.
const MaxManifest = wire.MaxDocument

// maxConfig is the size of the largest config that is read, which is held in memory as a manifest is.
const maxConfig = 16 << 20

// digestOf is the digest of bytes in memory, and how many they are.
func digestOf(raw []byte) (v1.Hash, int64) {
	h, size, _ := v1.SHA256(bytes.NewReader(raw)) // A bytes.Reader does not fail.
	return h, size
}

// inMemory opens bytes in memory as a blob.
func inMemory(raw []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
}

// readCapped reads all, and refuses more than limit bytes.
func readCapped(r io.Reader, limit int64, what string) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if int64(len(raw)) > limit {
		return nil, hint.Errorf("this is no container image", "%s: is larger than %d MiB", what, limit>>20)
	}
	return raw, nil
}

// verifier hands on bytes and proves, before it says EOF, that they are those of a descriptor.
type verifier struct {
	io.ReadCloser
	what string // It names the bytes in errors.
	d    v1.Descriptor
	n    int64
	hash hash.Hash
}

// verified wraps bytes that must be those of d. what names them in errors.
func verified(rc io.ReadCloser, what string, d v1.Descriptor) *verifier {
	return &verifier{ReadCloser: rc, what: what, d: d, hash: hasher(d.Digest)}
}

// hasher is the hash of a digest's algorithm. v1.NewHash knows these two only.
func hasher(h v1.Hash) hash.Hash {
	if h.Algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// Checked returns the digest that the bytes have when Read says EOF. pkg/layers asks for it, and hashes nothing twice.
func (v *verifier) Checked() v1.Hash { return v.d.Digest }

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.n += int64(n)
	v.hash.Write(p[:n])
	switch {
	case v.n > v.d.Size:
		return 0, &DigestError{v.what, fmt.Sprintf("%d bytes", v.d.Size), "more"}
	case err != io.EOF:
		return n, err
	case v.n < v.d.Size:
		return 0, &DigestError{v.what, fmt.Sprintf("%d bytes", v.d.Size), fmt.Sprint(v.n)}
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.d.Digest.Hex {
		return 0, &DigestError{v.what, v.d.Digest.String(), v.d.Digest.Algorithm + ":" + got}
	}
	return n, io.EOF
}
