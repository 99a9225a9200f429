// Keys, the names of states.

package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Key names a state of files by how it was made. The zero Key is the empty state, scratch.
type Key [32]byte

// String returns the key in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// IsZero says whether k is scratch.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText writes the key in hexadecimal.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote, and nothing else.
func (k *Key) UnmarshalText(text []byte) error {
	if len(text) != 2*len(k) {
		return fmt.Errorf("parsing key %q: want %d hexadecimal digits", text, 2*len(k))
	}
	if _, err := hex.Decode(k[:], text); err != nil {
		return fmt.Errorf("parsing key %q: %w", text, err)
	}
	return nil
}

// ChainKey returns the key of the state that a layer with the given DiffID makes of the state parent. The key of a base
// image is the fold of ChainKey over its DiffIDs from the zero Key.
func ChainKey(parent Key, diffID v1.Hash) Key {
	return sha256.Sum256([]byte("gbuild chain\x00" + parent.String() + "\x00" + diffID.String()))
}
