// Readers that end with a context, that are bounded, and that read ahead.

package codec

import (
	"context"
	"errors"
	"io"

	"github.com/gbuild/gbuild/internal/hint"
)

// ErrTooLarge says that a limit of Limit is passed.
var ErrTooLarge = hint.Wrap(errors.New("it unpacks to more than the limit"), "a layer may unpack to 20 GiB, or to 200 times its compressed size")

// Limit returns a reader of at most left bytes of r; the next one is ErrTooLarge. It ends with the context.
func Limit(ctx context.Context, r io.Reader, left int64) io.Reader {
	return &limitedReader{WithContext(ctx, r), left}
}

// limitedReader is what Limit returns. left may become less than nothing by one read.
type limitedReader struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// WithContext returns a reader of r that ends with the context.
func WithContext(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// As much is read ahead as the slower side needs to work without a pause, and no more: several layers are read at once.
const (
	aheadBlock  = 256 << 10
	aheadBlocks = 8
)

// ReadAhead reads in a goroutine of its own, so that what produces the bytes and what uses them run side by side.
type ReadAhead struct {
	full  chan block    // blocks that were read, in order
	empty chan []byte   // buffers that may be filled
	stop  chan struct{} // is closed when nobody wants more
	done  chan struct{} // is closed when the goroutine has ended
	now   block         // the block that is being handed out, from at on
	at    int
}

// block is what one buffer holds, and the error that came behind it.
type block struct {
	data []byte
	err  error
}

// NewReadAhead begins to read r. Close has to follow.
func NewReadAhead(r io.Reader) *ReadAhead {
	a := &ReadAhead{full: make(chan block, aheadBlocks), empty: make(chan []byte, aheadBlocks),
		stop: make(chan struct{}), done: make(chan struct{})}
	for range aheadBlocks {
		a.empty <- nil
	}
	go a.fill(r)
	return a
}

// fill reads r until it ends, fails, or nobody wants more.
func (a *ReadAhead) fill(r io.Reader) {
	defer close(a.done)
	for {
		var data []byte
		select {
		case data = <-a.empty:
		case <-a.stop:
			return
		}
		if data == nil {
			data = make([]byte, aheadBlock)
		}
		n, err := readBlock(r, data[:aheadBlock])
		a.full <- block{data[:n], err}
		if err != nil {
			return
		}
	}
}

// readBlock fills p as far as it can. Unlike io.ReadFull it passes the reader's own error on.
func readBlock(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}

// Read implements io.Reader.
func (a *ReadAhead) Read(p []byte) (int, error) {
	for a.at == len(a.now.data) {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.empty <- a.now.data
		}
		a.now, a.at = <-a.full, 0
	}
	n := copy(p, a.now.data[a.at:])
	a.at += n
	return n, nil
}

// Close ends the goroutine. The reader below is not used after it.
func (a *ReadAhead) Close() error {
	close(a.stop)
	<-a.done
	return nil
}
