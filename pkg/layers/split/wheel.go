// Reading wheels, which are zip archives, while nobody trusts them.

package split

import (
	"archive/zip"
	"errors"
	"io"
	"math"
	"os"

	"github.com/gbuild/gbuild/pkg/layers/codec"
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
	z.RegisterDecompressor(zip.Deflate, codec.NewInflater)
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
