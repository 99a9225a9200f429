// The digest by which a regular file is known whose bytes need not be here: of its attributes and its bytes.

package rootfs

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"maps"
	"os"
	"slices"
)

// Wanted is a Content that is had cheaper when it is said before that it will be opened.
type Wanted interface{ Want() }

// Summed is a Content whose digest is known without reading it; nil where it is not.
type Summed interface{ Sum() []byte }

// ContentSum is the digest of a regular file, as NewContentSum makes it, where it is known without reading it; else nil.
func (e *Entry) ContentSum() []byte {
	if c, ok := e.Content.(Summed); ok {
		return c.Sum()
	}
	return nil
}

// Want says that the file will be opened.
func (e *Entry) Want() {
	if c, ok := e.Content.(Wanted); ok && e.IsRegular() {
		c.Want()
	}
}

// NewContentSum begins the digest of a file that has these attributes. Its bytes follow.
func NewContentSum(xattrs map[string][]byte) hash.Hash {
	h := sha256.New()
	h.Write(FrameXattrs(nil, xattrs))
	return h
}

// FrameXattrs adds attributes to a text, sorted by name, each framed by its length. It is a part of the keys of steps.
func FrameXattrs(to []byte, xattrs map[string][]byte) []byte {
	to = binary.AppendUvarint(to, uint64(len(xattrs)))
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		for _, field := range [][]byte{[]byte(name), xattrs[name]} {
			to = append(binary.AppendUvarint(to, uint64(len(field))), field...)
		}
	}
	return to
}

// contentSum is the digest of an open file, whose offset stays.
func contentSum(f *os.File, size int64, xattrs map[string][]byte) ([]byte, error) {
	h := NewContentSum(xattrs)
	_, err := io.Copy(h, io.NewSectionReader(f, 0, size))
	return h.Sum(nil), err
}
