// Compressing a stream on all processors. Write cuts what it is given into blocks, workers compress the blocks side by side, and
// a collector hashes the blocks and writes what became of them, in their order. A few blocks for each processor are in memory,
// whatever the size of the stream.

package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// WholeFrom is the size in bytes from which a file is compressed for itself: its blocks depend on nothing else in the tar, so
// that they can be made before it is. It costs what the window before the file would have saved.
const WholeFrom = 2 << 20

// FileWriter is a writer that treats large files, from WholeFrom on, in a way of its own. The writers that Compress hands out
// are such writers, if the compression has a use for it.
type FileWriter interface {
	io.Writer
	// StartFile says that the content of a large file is written next, EndFile that all of it was written.
	StartFile()
	EndFile()
}

// Options are what a compression can be helped with. All may be left out.
type Options struct {
	Encoders *Encoders
	Blocks   *Blocks         // blocks of large files that were made ahead
	Report   func(bytes int) // is told of each block of the input when it is compressed
}

// Compressed is what Compress says of the bytes that it wrote.
type Compressed struct {
	DiffID      v1.Hash           // the digest of the input
	Annotations map[string]string // the manifest must have these for the output; mostly there are none
}

// Compress compresses what write writes, and writes the result to out.
func Compress(out io.Writer, c Compression, o Options, write func(io.Writer) error) (Compressed, error) {
	f, err := c.format()
	if err != nil {
		return Compressed{}, err
	}
	z, table := newCompressor(out, f, o), ""
	if _, ok := f.(stargzFormat); ok {
		table, err = writeStargz(z, write)
	} else {
		err = write(z)
	}
	made := Compressed{}
	diffID, finishErr := z.finish()
	if err == nil {
		err = finishErr
	}
	if made.DiffID = diffID; table != "" {
		made.Annotations = map[string]string{annotationTable: table, annotationSize: fmt.Sprint(z.to.size)}
	}
	return made, err
}

// compressor is what its user writes to. Its fields are the user's; what runs beside him gets jobs.
type compressor struct {
	format format
	o      Options
	to     *collector

	now    *job   // the block that is being filled, nil if none is
	before []byte // the last bytes of the block before it
	ahead  bool   // the bytes that are written now may have been compressed ahead
	offset *int64 // see offsetTo

	// Workers that are not started yet are idle: each holds a megabyte, and most layers are one block. A job goes from free to the
	// user, by jobs to a worker, and by the collector's queue back to free.
	idle    int
	jobs    chan *job
	free    chan *job
	workers sync.WaitGroup
}

// job is a block on its way.
type job struct {
	in     []byte
	before []byte // the window before in
	ahead  bool   // its output may be among the blocks that were made ahead
	offset *int64 // is set to where its output begins

	// What became of it. ready says when both may be read.
	out   bytes.Buffer
	err   error
	ready chan struct{}
}

// newCompressor starts the collector; workers are started when there is something for them. finish has to follow.
func newCompressor(out io.Writer, f format, o Options) *compressor {
	workers := min(runtime.GOMAXPROCS(0), f.mostWorkers())
	depth := workers + workers/2 + 2
	z := &compressor{format: f, o: o, idle: workers, jobs: make(chan *job, depth), free: make(chan *job, depth)}
	for range depth {
		z.free <- &job{ready: make(chan struct{}, 1)}
	}
	z.to = &collector{out: out, report: o.Report, sum: sha256.New(), queue: make(chan *job, depth), ended: make(chan struct{})}
	go z.to.collect(f, z.free)
	return z
}

// Write implements io.Writer.
func (z *compressor) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if z.now == nil {
			if err := z.to.failed(); err != nil {
				return 0, err
			}
			z.now = <-z.free
			z.now.in = z.now.in[:0]
			z.now.before = append(z.now.before[:0], z.before...)
			z.now.ahead, z.now.offset, z.offset = z.ahead, z.offset, nil
		}
		n := min(len(p), z.format.blockSize()-len(z.now.in))
		z.now.in = append(Room(z.now.in, n, z.format.blockSize()), p[:n]...)
		p = p[n:]
		if len(z.now.in) == z.format.blockSize() {
			z.submit()
		}
	}
	return written, nil
}

// Room returns b with place for n more bytes: a little place as long as that does, since most files and layers are small,
// then place for most bytes.
func Room(b []byte, n, most int) []byte {
	const little = 64 << 10
	switch {
	case len(b)+n <= cap(b) && cap(b) > 0:
		return b
	case len(b)+n <= little:
		return slices.Grow(b, little-len(b))
	}
	return slices.Grow(b, most-len(b))
}

// StartFile implements FileWriter.
func (z *compressor) StartFile() {
	z.cut()
	z.ahead = z.o.Blocks.has(z.format)
}

// EndFile implements FileWriter.
func (z *compressor) EndFile() { z.cut() }

// cut ends the block, and makes the next ones independent of all that was written before.
func (z *compressor) cut() {
	if z.now != nil {
		z.submit()
	}
	z.before, z.ahead = z.before[:0], false
}

// offsetTo asks where in the output the next byte that is written will be: at is set to where its block begins. The answer is
// there when drain returns.
func (z *compressor) offsetTo(at *int64) { z.offset = at }

// drain waits until all that was written is compressed and in the output, and returns the size of the output.
func (z *compressor) drain() (int64, error) {
	z.cut()
	all := make([]*job, cap(z.free))
	for i := range all {
		all[i] = <-z.free
	}
	for _, j := range all {
		z.free <- j
	}
	return z.to.written, z.to.failed()
}

// submit hands on the block that is being filled: to the workers, and to the collector, which waits for its turn.
func (z *compressor) submit() {
	j := z.now
	z.now = nil
	z.before = append(z.before[:0], j.in[max(0, len(j.in)-window):]...)
	if z.idle > 0 {
		z.idle--
		z.workers.Go(z.work)
	}
	z.jobs <- j
	z.to.queue <- j
}

// work compresses blocks until there are no more. What cannot be compressed is an error of its block.
func (z *compressor) work() {
	encode, err := z.o.Encoders.take(z.format)
	if err == nil {
		defer z.o.Encoders.leave(z.format, encode)
	}
	for j := range z.jobs {
		j.out.Reset()
		if j.err = err; err == nil && (!j.ahead || !z.o.Blocks.take(j)) {
			j.err = encode(&j.out, j.in, j.before)
		}
		j.ready <- struct{}{}
	}
}

// finish ends the stream, also one that is given up, and returns the digest of what was written to it.
func (z *compressor) finish() (v1.Hash, error) {
	if z.now != nil && len(z.now.in) > 0 {
		z.submit()
	}
	close(z.jobs)
	close(z.to.queue)
	z.workers.Wait()
	<-z.to.ended
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(z.to.sum.Sum(nil))}, z.to.failed()
}

// collector writes the output.
type collector struct {
	out    io.Writer
	report func(bytes int)
	queue  chan *job // jobs in the order of the input
	ended  chan struct{}

	// What is known of the input so far.
	sum  hash.Hash
	crc  uint32
	size uint64

	// What was written, and what is to follow the tail of the format.
	written int64
	trailer []byte

	mu  sync.Mutex
	err error // the first one, of whoever
}

// collect hashes the blocks of the input while they are compressed, and writes the output in their order.
func (c *collector) collect(f format, free chan<- *job) {
	defer close(c.ended)
	_, err := c.out.Write(f.head())
	c.fail(err)
	for j := range c.queue {
		c.sum.Write(j.in)
		c.crc = crc32.Update(c.crc, crc32.IEEETable, j.in)
		c.size += uint64(len(j.in))
		<-j.ready
		c.fail(j.err)
		if c.report != nil {
			c.report(len(j.in))
		}
		if j.offset != nil {
			*j.offset = c.written
		}
		if c.failed() == nil {
			n, err := c.out.Write(j.out.Bytes())
			c.written += int64(n)
			c.fail(err)
		}
		free <- j
	}
	if c.failed() == nil {
		_, err := c.out.Write(append(f.tail(c.crc, c.size), c.trailer...))
		c.fail(err)
	}
}

// fail keeps the first error. Nothing is written behind it.
func (c *collector) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *collector) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
