// Package growing is the bytes of a layer that are read while they are still written, so that it can be sent before it is complete. One
// process writes them to a file; readers come at any time, and wait for what is not there yet. The package knows no store.
package growing

import (
	"io"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Blob is the blob of a layer that is being made. It can be read from the start, by several readers, while it grows.
type Blob struct {
	path     string // the file while it grows; it is renamed at the end
	named    func(v1.Hash) (io.ReadCloser, error)
	from     int64  // the size at which it is announced
	announce func() // tells that it can be read, once

	mu    sync.Mutex
	more  sync.Cond
	size  int64
	ended bool
	known bool // the store had the same bytes before
	sum   v1.Hash
	err   error
}

// New makes the blob that is written to path. sending is told of it when it has from bytes, or is whole; named opens it
// when it has its name.
func New(path string, from int64, sending func(*Blob), named func(v1.Hash) (io.ReadCloser, error)) *Blob {
	g := &Blob{path: path, from: from, named: named}
	g.more.L = &g.mu
	g.announce = sync.OnceFunc(func() { sending(g) })
	return g
}

// Size returns the number of bytes, -1 while it is not known.
func (g *Blob) Size() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		return -1
	}
	return g.size
}

// Known says whether the store had the same bytes before the end: then they may be elsewhere already, too.
func (g *Blob) Known() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known
}

// Digest waits for the end, and returns the digest of all. It fails if the layer could not be made.
func (g *Blob) Digest() (v1.Hash, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.ended {
		g.more.Wait()
	}
	return g.sum, g.err
}

// Open returns a reader of the blob from its first byte on, which waits for those that are not there yet.
func (g *Blob) Open() (io.ReadCloser, error) {
	f, err := os.Open(g.path)
	if os.IsNotExist(err) { // it has its name by now
		var h v1.Hash
		if h, err = g.Digest(); err == nil {
			return g.named(h)
		}
	}
	if err != nil {
		return nil, err
	}
	return &reader{blob: g, file: f}, nil
}

// Grow wakes the readers: the blob has size bytes.
func (g *Blob) Grow(size int64) {
	g.mu.Lock()
	g.size = size
	g.mu.Unlock()
	g.more.Broadcast()
	if size >= g.from {
		g.announce()
	}
}

// Announce tells that the blob can be read, if that has not been told.
func (g *Blob) Announce() { g.announce() }

// Know says that the store has the bytes.
func (g *Blob) Know() {
	g.mu.Lock()
	g.known = true
	g.mu.Unlock()
}

// End says that no more bytes will come. Only the first call counts.
func (g *Blob) End(sum v1.Hash, err error) {
	g.mu.Lock()
	if !g.ended {
		g.ended, g.sum, g.err = true, sum, err
	}
	g.mu.Unlock()
	g.more.Broadcast()
}

type reader struct {
	blob   *Blob
	file   *os.File
	at     int64
	closed bool // guarded by the lock of the blob
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.wait(int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err = io.ReadFull(r.file, p[:n])
	r.at += int64(n)
	return n, err
}

// wait returns how many of the next bytes are there: at least one of them.
func (r *reader) wait(most int64) (int, error) {
	g := r.blob
	g.mu.Lock()
	defer g.mu.Unlock()
	for !r.closed && !g.ended && g.size == r.at {
		g.more.Wait()
	}
	switch {
	case r.closed:
		return 0, os.ErrClosed
	case g.size > r.at:
		return int(min(most, g.size-r.at)), nil
	case g.err != nil:
		return 0, g.err
	}
	return 0, io.EOF
}

// Close implements io.Closer. A Read that waits ends.
func (r *reader) Close() error {
	r.blob.mu.Lock()
	r.closed = true
	r.blob.mu.Unlock()
	r.blob.more.Broadcast()
	return r.file.Close()
}
