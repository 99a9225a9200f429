// The frame of gzip (RFC 1952) around deflated data: headers, members, checksums.

package codec

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// gunzip decodes gzip (RFC 1952), one member after the other.
type gunzip struct {
	f    *inflater
	read int   // up to where f.out has been read
	err  error // comes when all of f.out has been read

	// The checksum and the size of what the member has unpacked to so far.
	crc  uint32
	size uint32
}

var (
	// Both are about foreign bytes: the caller says which layer or archive had them.
	errGzipHeader = errors.New("the gzip header is invalid")
	errGzipSum    = errors.New("the checksum of the gzip data is wrong")
)

// newGunzip reads the header of the first member.
func newGunzip(from io.Reader) (*gunzip, error) {
	z := &gunzip{f: newInflater(from)}
	err := z.member()
	if err == io.EOF { //nolint:errorlint // A stream ends with io.EOF itself.
		err = io.ErrUnexpectedEOF
	}
	return z, err
}

// Read implements io.Reader.
func (z *gunzip) Read(p []byte) (int, error) {
	// One call of more may give nothing: at the end of a member, or of an empty one.
	for z.read == z.f.w {
		if z.err != nil {
			return 0, z.err
		}
		z.err = z.more()
	}
	n := copy(p, z.f.out[z.read:z.f.w])
	z.read += n
	return n, nil
}

// Close implements io.Closer. There is nothing to close.
func (z *gunzip) Close() error { return nil }

// more decodes what out has room for, or checks the end of a member and starts the next one.
func (z *gunzip) more() error {
	z.f.slide()
	z.read = z.f.w
	err := z.f.inflate()
	if err == io.ErrUnexpectedEOF { //nolint:errorlint // It is inflate's own.
		z.f.w = z.read
	}
	z.crc = crc32.Update(z.crc, crc32.IEEETable, z.f.out[z.read:z.f.w])
	z.size += uint32(z.f.w - z.read)
	if err != io.EOF { //nolint:errorlint // A stream ends with io.EOF itself.
		return err
	}
	var trailer [8]byte
	if err := z.bytes(trailer[:]); err != nil {
		return err
	}
	// RFC 1952 has the size modulo 2^32, so a uint32 that wraps is right for any length.
	if binary.LittleEndian.Uint32(trailer[:]) != z.crc || binary.LittleEndian.Uint32(trailer[4:]) != z.size {
		return errGzipSum
	}
	// Several members make one stream: what they unpack to is joined.
	return z.member()
}

// bytes reads bytes of the frame, which begin at a whole byte of the input.
func (z *gunzip) bytes(p []byte) error {
	// The bits up to the next whole byte are padding.
	z.f.take(z.f.n & 7)
	z.f.unread()
	for i := range p {
		if z.f.pos >= z.f.end {
			if err := z.f.fill(); err != nil {
				return err
			}
			if z.f.end == 0 {
				return io.ErrUnexpectedEOF
			}
		}
		p[i] = z.f.in[z.f.pos]
		z.f.pos++
	}
	return nil
}

// Flags of a header.
const (
	gzipHeaderSum = 1 << (iota + 1)
	gzipExtra
	gzipName
	gzipComment
)

// member reads the header of the next one, io.EOF if there is none.
func (z *gunzip) member() error {
	if z.f.pos >= z.f.end {
		if err := z.f.fill(); err != nil {
			return err
		}
		if z.f.end == 0 {
			return io.EOF
		}
	}
	h := &gzipHeader{from: z}
	fixed := h.bytes(10)
	if h.err != nil {
		return h.err
	}
	if fixed[0] != 0x1f || fixed[1] != 0x8b || fixed[2] != 8 {
		return errGzipHeader
	}
	if fixed[3]&gzipExtra != 0 {
		h.bytes(int(binary.LittleEndian.Uint16(h.bytes(2))))
	}
	for _, text := range []byte{gzipName, gzipComment} {
		if fixed[3]&text != 0 {
			h.text()
		}
	}
	if sum := uint16(h.sum); fixed[3]&gzipHeaderSum != 0 && binary.LittleEndian.Uint16(h.bytes(2)) != sum {
		return errGzipHeader
	}
	if fixed[3]>>5 != 0 { // reserved
		return errGzipHeader
	}
	z.crc, z.size = 0, 0
	z.f.begin()
	return h.err
}

// gzipHeader reads and sums a header. The first error stays; what is read after it is zeros.
type gzipHeader struct {
	from *gunzip
	sum  uint32
	err  error
}

func (h *gzipHeader) bytes(n int) []byte {
	p := make([]byte, n)
	if h.err == nil {
		h.err = h.from.bytes(p)
		h.sum = crc32.Update(h.sum, crc32.IEEETable, p)
	}
	return p
}

// text reads to the next NUL. It bounds what comes before, as gzip's own fields are small.
func (h *gzipHeader) text() {
	for range 512 {
		if c := h.bytes(1); h.err != nil || c[0] == 0 {
			return
		}
	}
	h.err = errGzipHeader
}

// ReadToEnd reads what comes behind the end of an archive: only then is it known that nothing of it is missing. Behind gzip's last member
// there may be whatever there is, as for gzip(1).
func ReadToEnd(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	if errors.Is(err, errGzipHeader) {
		return nil
	}
	return err
}
