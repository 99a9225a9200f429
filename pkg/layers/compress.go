package layers

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/gbuild/gbuild/internal/hint"
)

// Compression says how layers are compressed.
type Compression struct {
	Algorithm string // "gzip", "zstd", "estargz" or "none"; "" is gzip
	Level     int    // of the algorithm, 0 is its default: 1 to 9 for gzip and estargz, 1 to 22 for zstd
	Epoch     *int64 // see DiffOptions
	Force     bool   // the layers of base images are compressed so, too: see Recompress
}

// kind names the records of layers that are made in this way.
func (c Compression) kind() string {
	epoch := "no"
	if c.Epoch != nil {
		epoch = fmt.Sprint(*c.Epoch)
	}
	return fmt.Sprintf("layer-%s-%d-%s", c.algorithm(), c.Level, epoch)
}

func (c Compression) algorithm() string {
	if c.Algorithm == "" {
		return "gzip"
	}
	return c.Algorithm
}

func (c Compression) mediaType() types.MediaType {
	switch c.algorithm() {
	case "zstd":
		return types.OCILayerZStd
	case "none":
		return types.OCIUncompressedLayer
	}
	return types.OCILayer
}

// codec turns blocks into compressed bytes. A block depends on nothing but itself and the 32 KiB before it, so that the
// result is the same for any number of processors.
type codec interface {
	// head and tail frame the whole: tail gets the CRC-32 and the size of the input.
	head() []byte
	tail(crc uint32, size uint64) []byte
	newEncoder() (blockEncoder, error)
	// blockSize is in bytes. More than mostWorkers at once gain nothing: the input is hashed at that speed, as one stream.
	blockSize() int
	mostWorkers() int
}

// blockEncoder compresses one block after the other, of any stream.
type blockEncoder func(out *bytes.Buffer, block, before []byte) error

func (c Compression) codec() (codec, error) {
	switch c.algorithm() {
	case "gzip", "estargz":
		level := c.Level
		if level == 0 {
			level = defaultGzip
		}
		if level < 1 || level > 9 {
			return nil, fmt.Errorf("compressing with %s: level %d is not between 1 and 9", c.algorithm(), c.Level)
		}
		if c.Algorithm == "estargz" {
			return stargzCodec(level), nil
		}
		return gzipCodec(level), nil
	case "zstd":
		level := c.Level
		if level == 0 {
			level = defaultZstd
		}
		if level < 1 || level > 22 {
			return nil, fmt.Errorf("compressing with zstd: level %d is not between 1 and 22", c.Level)
		}
		return zstdCodec(level), nil
	case "none":
		return plainCodec{}, nil
	}
	return nil, hint.Errorf("use gzip, zstd, estargz or none", "unknown compression %q", c.Algorithm)
}

const (
	defaultGzip = 5
	defaultZstd = 3
	window      = 32 << 10 // of deflate
)

// gzipCodec is its level. Every block is deflated with the 32 KiB before it as its dictionary and ends with a sync flush.
type gzipCodec int

func (gzipCodec) blockSize() int { return 1 << 20 }

func (gzipCodec) mostWorkers() int { return 12 }

// head is a gzip header without name and time (RFC 1952), of an unknown system.
func (gzipCodec) head() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} }

func (gzipCodec) tail(crc uint32, size uint64) []byte {
	end := []byte{1, 0, 0, 0xff, 0xff} // an empty stored block that is the last
	end = binary.LittleEndian.AppendUint32(end, crc)
	return binary.LittleEndian.AppendUint32(end, uint32(size))
}

func (c gzipCodec) newEncoder() (blockEncoder, error) {
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

// zstdCodec is its level. Every block is a frame of its own, which all decoders read one after the other.
type zstdCodec int

// blockSize is a bargain: 4 MiB would take a percent off the result, and twice the memory.
func (zstdCodec) blockSize() int { return 2 << 20 }

func (zstdCodec) mostWorkers() int { return 6 }

func (zstdCodec) head() []byte { return nil }

func (zstdCodec) tail(_ uint32, size uint64) []byte {
	if size > 0 {
		return nil
	}
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0} // an empty frame: nothing at all would be no zstd
}

func (c zstdCodec) newEncoder() (blockEncoder, error) {
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

// plainCodec does not compress.
type plainCodec struct{}

func (plainCodec) blockSize() int { return 1 << 20 }

func (plainCodec) mostWorkers() int { return 1 }

func (plainCodec) head() []byte { return nil }

func (plainCodec) tail(uint32, uint64) []byte { return nil }

func (plainCodec) newEncoder() (blockEncoder, error) {
	return func(out *bytes.Buffer, block, _ []byte) error {
		out.Write(block)
		return nil
	}, nil
}

// compressor writes what is written to it to out: it hashes the input, compresses its blocks side by side, and writes
// them in order. It holds a few blocks for each processor, whatever the size of the input.
type compressor struct {
	codec    codec
	out      io.Writer
	idle     int // workers that are not started: each holds a megabyte, and most layers are one block
	encoders *encoders
	blocks   *blocks // that were made ahead
	ahead    bool    // some of them are of what is written now
	report   func(bytes int)
	at       *int64 // is told where the next block is
	now      *job
	jobs     chan *job // to be compressed
	queue    chan *job // in order, to be hashed and then written
	free     chan *job
	sum      hash.Hash
	crc      uint32
	size     uint64
	written  int64  // bytes of the output
	end      []byte // of the output, after that of the codec
	done     sync.WaitGroup
	ended    chan struct{}
	mu       sync.Mutex
	err      error
	before   []byte // the last bytes of the block before now
}

type job struct {
	in     []byte
	before []byte
	ahead  bool   // its output may be there
	at     *int64 // is told where it is in the output
	out    bytes.Buffer
	err    error
	ready  chan struct{}
}

func newCompressor(out io.Writer, c codec) *compressor {
	workers := min(runtime.GOMAXPROCS(0), c.mostWorkers())
	depth := workers + workers/2 + 2
	z := &compressor{codec: c, out: out, idle: workers, sum: sha256.New(), jobs: make(chan *job, depth), queue: make(chan *job, depth),
		free: make(chan *job, depth), ended: make(chan struct{})}
	for range depth {
		z.free <- &job{ready: make(chan struct{}, 1)}
	}
	go z.collect()
	return z
}

// encoders keeps those that are not used: to make one takes longer than to compress a small layer. Nil keeps none.
type encoders struct{ pools sync.Map } // codec -> *sync.Pool

func (e *encoders) take(c codec) (blockEncoder, error) {
	if e != nil {
		if pool, ok := e.pools.Load(c); ok {
			if encode, ok := pool.(*sync.Pool).Get().(blockEncoder); ok {
				return encode, nil
			}
		}
	}
	return c.newEncoder()
}

func (e *encoders) leave(c codec, encode blockEncoder) {
	if e != nil {
		pool, _ := e.pools.LoadOrStore(c, &sync.Pool{})
		pool.(*sync.Pool).Put(encode)
	}
}

func (z *compressor) work() {
	encode, err := z.encoders.take(z.codec)
	if err == nil {
		defer z.encoders.leave(z.codec, encode)
	}
	for j := range z.jobs {
		j.out.Reset()
		if j.err = err; err == nil && (!j.ahead || !z.blocks.take(j)) {
			j.err = encode(&j.out, j.in, j.before)
		}
		j.ready <- struct{}{}
	}
}

// collect hashes the blocks of the input while they are compressed, and writes the output in their order.
func (z *compressor) collect() {
	defer close(z.ended)
	_, err := z.out.Write(z.codec.head())
	z.fail(err)
	for j := range z.queue {
		z.sum.Write(j.in)
		z.crc = crc32.Update(z.crc, crc32.IEEETable, j.in)
		z.size += uint64(len(j.in))
		<-j.ready
		z.fail(j.err)
		if z.report != nil {
			z.report(len(j.in))
		}
		if j.at != nil {
			*j.at = z.written
		}
		if z.failed() == nil {
			n, err := z.out.Write(j.out.Bytes())
			z.written += int64(n)
			z.fail(err)
		}
		z.free <- j
	}
	if z.failed() == nil {
		_, err := z.out.Write(append(z.codec.tail(z.crc, z.size), z.end...))
		z.fail(err)
	}
}

func (z *compressor) fail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err == nil {
		z.err = err
	}
}

func (z *compressor) failed() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.err
}

// Write implements io.Writer.
func (z *compressor) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if z.now == nil {
			if err := z.failed(); err != nil {
				return 0, err
			}
			z.now = <-z.free
			z.now.in = z.now.in[:0]
			z.now.before = append(z.now.before[:0], z.before...)
			z.now.ahead, z.now.at, z.at = z.ahead, z.at, nil
		}
		n := min(len(p), z.codec.blockSize()-len(z.now.in))
		z.now.in = append(room(z.now.in, n, z.codec.blockSize()), p[:n]...)
		p = p[n:]
		if len(z.now.in) == z.codec.blockSize() {
			z.submit()
		}
	}
	return written, nil
}

// cut makes what is written next independent of what was written before. It may have been compressed ahead if it is whole:
// the content of a file.
func (z *compressor) cut(whole bool) {
	if z.now != nil {
		z.submit()
	}
	z.before = z.before[:0]
	z.ahead = whole && z.blocks.has(z.codec)
}

// tell sets at to where in the output the block is that what is written next begins, by the time that it is drained.
func (z *compressor) tell(at *int64) { z.at = at }

// drain waits until all that was written is compressed, and returns the size of the output by then.
func (z *compressor) drain() (int64, error) {
	z.cut(false)
	all := make([]*job, cap(z.free))
	for i := range all {
		all[i] = <-z.free
	}
	for _, j := range all {
		z.free <- j
	}
	return z.written, z.failed()
}

// room returns b with place for n more bytes: for a little, as long as that does, since most layers are small, then for most.
func room(b []byte, n, most int) []byte {
	const little = 64 << 10
	switch {
	case len(b)+n <= cap(b) && cap(b) > 0:
		return b
	case len(b)+n <= little:
		return slices.Grow(b, little-len(b))
	}
	return slices.Grow(b, most-len(b))
}

func (z *compressor) submit() {
	j := z.now
	z.now = nil
	z.before = append(z.before[:0], j.in[max(0, len(j.in)-window):]...)
	if z.idle > 0 {
		z.idle--
		z.done.Go(z.work)
	}
	z.jobs <- j
	z.queue <- j
}

// finish ends the stream, also one that is given up, and returns the digest of what was written to it.
func (z *compressor) finish() (v1.Hash, error) {
	if z.now != nil && len(z.now.in) > 0 {
		z.submit()
	}
	close(z.jobs)
	close(z.queue)
	z.done.Wait()
	<-z.ended
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(z.sum.Sum(nil))}, z.failed()
}
