// Reading what somebody else compressed. The format is told by the first bytes, and memory is bounded in each of them.

package codec

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Decompress returns the bytes of r, unpacked if they are gzip, bzip2, xz or zstd, which it tells from their first bytes,
// and as they are if not. Closing the result does not close r.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(6)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading compressed data: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := newGunzip(buffered)
		if err != nil {
			return nil, fmt.Errorf("reading gzip data: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("reading zstd data: %w", err)
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(buffered)), nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		z, err := newUnxz(buffered)
		if err != nil {
			return nil, fmt.Errorf("reading xz data: %w", err)
		}
		return z, nil
	}
	return io.NopCloser(buffered), nil
}
