package layers

import (
	"context"
	"io"

	"github.com/gbuild/gbuild/internal/hint"
)

// limitedReader ends with the context, and refuses to read more than a limit.
type limitedReader struct {
	ctx     context.Context
	r       io.Reader
	left    int64
	limited bool
}

// Read implements io.Reader.
func (l *limitedReader) Read(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.limited && l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

var errTooLarge = hint.Errorf("a layer may unpack to 20 GiB, or to 200 times its compressed size", "it unpacks to more than the limit")

// contextReader ends with the context: the holes of a sparse file can be read for hours without reading the tar.
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

const (
	aheadBlock  = 256 << 10
	aheadBlocks = 8
)

// readAhead reads in a goroutine of its own, so that what produces the bytes and what uses them run side by side.
type readAhead struct {
	full  chan block
	empty chan []byte
	stop  chan struct{}
	done  chan struct{}
	now   block
	at    int
}

type block struct {
	data []byte
	err  error
}

func newReadAhead(r io.Reader) *readAhead {
	a := &readAhead{full: make(chan block, aheadBlocks), empty: make(chan []byte, aheadBlocks),
		stop: make(chan struct{}), done: make(chan struct{})}
	for range aheadBlocks {
		a.empty <- nil
	}
	go a.fill(r)
	return a
}

func (a *readAhead) fill(r io.Reader) {
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
func (a *readAhead) Read(p []byte) (int, error) {
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
func (a *readAhead) Close() error {
	close(a.stop)
	<-a.done
	return nil
}
