// Reading xz data that nobody trusts. A block names the window that its reader is to keep in memory, up to 4 GiB, whatever its own
// size is. So the containers of the format are read here before the library sees them.

package codec

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz"
)

// maxWindow is the largest window of compressed data that is kept in memory: xz -9 takes 64 MiB, zstd --long=27 this.
const maxWindow = 128 << 20

var errXZ = errors.New("the xz data is corrupt")

// newUnxz reads xz data.
func newUnxz(r *bufio.Reader) (io.ReadCloser, error) {
	checked, w := io.Pipe()
	go func() { w.CloseWithError((&xzWalk{in: r, out: w}).streams()) }()
	z, err := xz.NewReader(checked)
	if err != nil {
		checked.Close()
		return nil, err
	}
	return &unxz{z, checked}, nil
}

// unxz reads what the library makes of the data that the walk has checked.
type unxz struct {
	io.Reader
	checked *io.PipeReader
}

// Close ends the walk.
func (u *unxz) Close() error { return u.checked.Close() }

// xzWalk passes xz data on, with a look at the header of each block.
type xzWalk struct {
	in  *bufio.Reader
	out io.Writer
	n   int64 // bytes since the last thing that is padded to four began
}

// streams passes on all that there is.
func (x *xzWalk) streams() error {
	for {
		if err := x.stream(); err != nil {
			return err
		}
		for { // zeros may lie between two streams
			next, err := x.in.Peek(1)
			if err == io.EOF {
				return nil
			}
			if err != nil || next[0] != 0 {
				break
			}
			if err := x.pass(1); err != nil {
				return err
			}
		}
	}
}

// stream passes on one stream: a header, blocks, an index and a footer.
func (x *xzWalk) stream() error {
	header, err := x.take(12)
	if err != nil {
		return err
	}
	check := []int64{0, 4, 8, 16, 32, 64}[(int(header[7]&15)+2)/3]
	for {
		x.n = 0
		size, err := x.in.Peek(1)
		if err != nil {
			return cutShort(err)
		}
		if size[0] == 0 {
			return x.index()
		}
		if err := x.block(4*(int64(size[0])+1), check); err != nil {
			return err
		}
	}
}

// index passes on the index at the end of a stream, and the footer.
func (x *xzWalk) index() error {
	if err := x.pass(1); err != nil {
		return err
	}
	records, err := x.number()
	for i := uint64(0); i < 2*records && err == nil; i++ {
		_, err = x.number()
	}
	if err != nil {
		return err
	}
	return x.pass(-x.n&3 + 4 + 12)
}

// number passes on a number of the format.
func (x *xzWalk) number() (uint64, error) {
	var buf []byte
	for len(buf) < 10 {
		b, err := x.take(1)
		if err != nil {
			return 0, err
		}
		if buf = append(buf, b[0]); b[0] < 0x80 {
			n, _ := binary.Uvarint(buf)
			return n, nil
		}
	}
	return 0, errXZ
}

// block passes on one block, whose header has header bytes and whose check has check bytes. Its chunks say how long they are.
func (x *xzWalk) block(header, check int64) error {
	text, err := x.in.Peek(int(header))
	if err != nil {
		return cutShort(err)
	}
	if err := checkWindow(text); err != nil {
		return err
	}
	if err := x.pass(header); err != nil {
		return err
	}
	for {
		control, err := x.take(1)
		if err != nil {
			return err
		}
		switch c := control[0]; {
		case c == 0:
			return x.pass(-x.n&3 + check)
		case c <= 2:
			err = x.chunk(0, 2, 0)
		case c >= 0xc0:
			err = x.chunk(2, 4, 1)
		case c >= 0x80:
			err = x.chunk(2, 4, 0)
		default:
			err = errXZ
		}
		if err != nil {
			return err
		}
	}
}

// chunk passes on a chunk. Its size, less one, is in the bytes from to to of its header; so many bytes more belong to it.
func (x *xzWalk) chunk(from, to int, more int64) error {
	header, err := x.take(to)
	if err != nil {
		return err
	}
	return x.pass(more + int64(binary.BigEndian.Uint16(header[from:to])) + 1)
}

// checkWindow reads the header of a block, of which the one filter must be LZMA2.
func checkWindow(header []byte) error {
	flags, rest := header[1], header[2:]
	for _, size := range []byte{0x40, 0x80} {
		if flags&size == 0 {
			continue
		}
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return errXZ
		}
		rest = rest[n:]
	}
	if flags&3 != 0 || len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 || rest[2] > 40 {
		return errors.New("the xz data has a filter other than LZMA2")
	}
	bits := uint64(rest[2])
	if window := (2 | bits&1) << (bits/2 + 11); window > maxWindow {
		return fmt.Errorf("the xz data asks for a window of %d MiB, and %d MiB is the most", window>>20, maxWindow>>20)
	}
	return nil
}

// take reads and passes on n bytes.
func (x *xzWalk) take(n int) ([]byte, error) {
	buf := make([]byte, n)
	if _, err := io.ReadFull(x.in, buf); err != nil {
		return nil, cutShort(err)
	}
	x.n += int64(n)
	_, err := x.out.Write(buf)
	return buf, err
}

// pass passes on n bytes.
func (x *xzWalk) pass(n int64) error {
	x.n += n
	_, err := io.CopyN(x.out, x.in, n)
	return cutShort(err)
}

// cutShort is the error of data that ends where more must come.
func cutShort(err error) error {
	if err == io.EOF { //nolint:errorlint // A stream ends with io.EOF itself.
		return io.ErrUnexpectedEOF
	}
	return err
}
