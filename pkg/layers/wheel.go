package layers

import (
	"archive/zip"
	"errors"
	"io"
	"math"
	"os"
)

// openWheel opens a zip archive that nobody trusts. It fails if it is not whole.
func openWheel(f *os.File) (*zip.Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// All of its directory would be kept in memory.
	at := &boundedAt{f, maxList}
	z, err := zip.NewReader(at, info.Size())
	if err != nil {
		return nil, err
	}
	at.left = math.MaxInt64
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return &inflated{inflater: newInflater(r)} })
	return z, nil
}

// boundedAt reads no more than so many bytes.
type boundedAt struct {
	io.ReaderAt
	left int64
}

// ReadAt implements io.ReaderAt.
func (b *boundedAt) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("the directory of the archive is too large")
	}
	return b.ReaderAt.ReadAt(p, at)
}

// inflated reads a deflated stream.
type inflated struct {
	*inflater
	read int // up to where out has been read
	err  error
}

// Read implements io.Reader.
func (f *inflated) Read(p []byte) (int, error) {
	for f.read == f.w {
		if f.err != nil {
			return 0, f.err
		}
		f.slide()
		f.read = f.w
		f.err = f.inflate()
	}
	n := copy(p, f.out[f.read:f.w])
	f.read += n
	return n, nil
}

// Close implements io.Closer. There is nothing to close.
func (f *inflated) Close() error { return nil }
