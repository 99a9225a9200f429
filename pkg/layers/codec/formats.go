// The formats that blocks are compressed in. A format knows one block; what runs side by side is in compress.go.

package codec

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// format turns blocks into compressed bytes. A block depends on nothing but itself and the window of bytes before it, so that
// the result is the same for any number of processors. Formats can be compared.
type format interface {
	// head and tail frame the whole: tail gets the CRC-32 and the size of the input.
	head() []byte
	tail(crc uint32, size uint64) []byte
	newEncoder() (encoder, error)
	// blockSize is in bytes. More than mostWorkers at once gain nothing: the input is hashed at that speed, as one stream.
	blockSize() int
	mostWorkers() int
}

// encoder compresses one block after the other, of any stream.
type encoder func(out *bytes.Buffer, block, before []byte) error

// window is how far back deflate looks, in bytes.
const window = 32 << 10

// gzipFormat is its level. Every block is deflated with the window before it as its dictionary and ends with a sync flush.
type gzipFormat int

func (gzipFormat) blockSize() int { return 1 << 20 }

func (gzipFormat) mostWorkers() int { return 12 }

// head is a gzip header without name and time (RFC 1952), of an unknown system.
func (gzipFormat) head() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} }

func (gzipFormat) tail(crc uint32, size uint64) []byte {
	end := []byte{1, 0, 0, 0xff, 0xff} // an empty stored block that is the last
	end = binary.LittleEndian.AppendUint32(end, crc)
	return binary.LittleEndian.AppendUint32(end, uint32(size))
}

func (c gzipFormat) newEncoder() (encoder, error) {
	z, err := flate.NewWriter(nil, int(c))
	if err != nil {
		return nil, err
	}
	return func(out *bytes.Buffer, block, before []byte) error {
		z.ResetDict(out, before[max(0, len(before)-window):])
		if _, err := z.Write(block); err != nil {
			return err
		}
		return z.Flush()
	}, nil
}

// zstdFormat is its level, in zstd's own numbers. Every block is a frame of its own, which all decoders read one after the other.
type zstdFormat int

// blockSize is a bargain: 4 MiB would take a percent off the result, and twice the memory.
func (zstdFormat) blockSize() int { return 2 << 20 }

func (zstdFormat) mostWorkers() int { return 6 }

func (zstdFormat) head() []byte { return nil }

func (zstdFormat) tail(_ uint32, size uint64) []byte {
	if size > 0 {
		return nil
	}
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0} // an empty frame: nothing at all would be no zstd
}

func (c zstdFormat) newEncoder() (encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(int(c))), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return func(out *bytes.Buffer, block, _ []byte) error {
		out.Grow(len(block) / 2)
		out.Write(z.EncodeAll(block, out.AvailableBuffer()))
		return nil
	}, nil
}

// plainFormat does not compress.
type plainFormat struct{}

func (plainFormat) blockSize() int { return 1 << 20 }

func (plainFormat) mostWorkers() int { return 1 }

func (plainFormat) head() []byte { return nil }

func (plainFormat) tail(uint32, uint64) []byte { return nil }

func (plainFormat) newEncoder() (encoder, error) {
	return func(out *bytes.Buffer, block, _ []byte) error {
		out.Write(block)
		return nil
	}, nil
}

// Encoders keeps encoders that are not used at the moment: to make one takes longer than to compress a small layer. A nil
// one keeps none.
type Encoders struct{ pools sync.Map } // format -> *sync.Pool

// take returns an encoder of the format, a used one if there is one.
func (e *Encoders) take(f format) (encoder, error) {
	if e != nil {
		if pool, ok := e.pools.Load(f); ok {
			if encode, ok := pool.(*sync.Pool).Get().(encoder); ok {
				return encode, nil
			}
		}
	}
	return f.newEncoder()
}

// leave keeps an encoder for the next who takes one.
func (e *Encoders) leave(f format, encode encoder) {
	if e != nil {
		pool, _ := e.pools.LoadOrStore(f, &sync.Pool{})
		pool.(*sync.Pool).Put(encode)
	}
}
