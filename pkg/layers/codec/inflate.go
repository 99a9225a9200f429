// The decoder of deflate (RFC 1951). Most of the time of a pull is spent here, so it is written for speed; the fuzz test holds it
// against another decoder.

package codec

import (
	"encoding/binary"
	"errors"
	"io"
)

// inflater decodes deflate (RFC 1951). It is about twice as fast as the decoders of compress/flate and klauspost/compress,
// which take a byte at a time from a reader: it has 16 bytes of input at hand before each symbol, behind the end
// of the input zeros, and room for the longest match behind each. So neither is looked at more than once a symbol.
type inflater struct {
	// The input. in[pos:end] is what bits has not taken yet. Up to limit, pos allows two refills of bits without a look at the
	// end. eof says that from has no more than what is in in.
	from     io.Reader
	in       []byte
	pos, end int
	limit    int
	eof      bool

	// The next bits of the input, the first one in the lowest place. Only n of them count; what is above them may be the
	// following bits, or nothing.
	bits uint64
	n    uint

	// The output. w is where the next byte goes; what is before it is the window of matches. start is where the stream begins
	// in out, as far as that is still there: no match reaches below it.
	out   []byte
	w     int
	start int

	// The block that is being decoded: its kind, whether it is the last one of the stream, how many bytes of a stored one are
	// left, and the tables of its codes.
	block   blockKind
	last    bool
	left    int
	lengths codeTable
	offsets codeTable
}

type blockKind int

const (
	blockNone blockKind = iota // its header comes next
	blockStored
	blockCoded
)

const (
	inflateInput  = 64 << 10
	inflateOutput = window + 128<<10   // so small that it still lies in the processor's cache when it is hashed and copied
	inputSlack    = 32                 // zeros behind the end of the input
	outputSlack   = 258 + 3 + copyUnit // a match, the literals before it, and what copying in units writes too much
	copyUnit      = 16
)

var errDeflate = errors.New("the deflate data are corrupt")

// newInflater makes a decoder that has not begun a stream: begin has to follow.
func newInflater(from io.Reader) *inflater {
	return &inflater{from: from, in: make([]byte, inflateInput+inputSlack), out: make([]byte, inflateOutput), limit: -1}
}

// slide makes room in out. All that is in it must have been read.
func (f *inflater) slide() {
	if moved := f.w - window; moved > 0 {
		copy(f.out, f.out[moved:f.w])
		f.w, f.start = window, max(0, f.start-moved)
	}
}

// begin starts a stream where the one before ended.
func (f *inflater) begin() { f.start, f.last, f.block = f.w, false, blockNone }

// inflate decodes until out is full, or the stream ends: that is io.EOF. After io.ErrUnexpectedEOF nobody knows which of the bytes in out
// were there.
func (f *inflater) inflate() error {
	for f.w <= len(f.out)-outputSlack {
		var err error
		switch {
		case f.block == blockStored:
			err = f.stored()
		case f.block == blockCoded:
			err = f.coded()
		case f.last:
			err = io.EOF
		default:
			err = f.header()
		}
		if f.pos-int(f.n>>3) > f.end { // the zeros behind the end were taken for data
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unread gives the whole bytes in bits back to in.
func (f *inflater) unread() {
	f.pos -= int(f.n >> 3)
	f.n &= 7
	f.bits &= 1<<f.n - 1
}

// fill reads on, so that pos is at most limit.
func (f *inflater) fill() error {
	f.unread()
	if f.pos > f.end {
		return io.ErrUnexpectedEOF
	}
	f.end = copy(f.in, f.in[f.pos:f.end])
	f.pos = 0
	for f.end < inputSlack && !f.eof {
		n, err := f.from.Read(f.in[f.end:inflateInput])
		f.end += n
		if f.eof = err == io.EOF; err != nil && !f.eof {
			return err
		}
	}
	f.limit = f.end - 16
	if f.eof {
		clear(f.in[f.end : f.end+inputSlack])
		f.limit = f.end + 16
	}
	return nil
}

// need sees to it that at least 56 bits count: enough for any two fields of a header.
func (f *inflater) need() error {
	if f.pos > f.limit {
		if err := f.fill(); err != nil {
			return err
		}
	}
	f.bits |= binary.LittleEndian.Uint64(f.in[f.pos:]) << (f.n & 63)
	f.pos += int((63 - f.n) >> 3)
	f.n |= 56
	return nil
}

// take takes the next n bits, which must count.
func (f *inflater) take(n uint) int {
	v := f.bits & (1<<n - 1)
	f.bits >>= n
	f.n -= n
	return int(v)
}

// header reads that of a block.
func (f *inflater) header() error {
	if err := f.need(); err != nil {
		return err
	}
	f.last = f.take(1) == 1
	switch f.take(2) {
	case 0:
		return f.storedHeader()
	case 1:
		f.block = blockCoded
		f.lengths.build(fixedLengths[:288], lengthSymbols[:], lengthBits)
		f.offsets.build(fixedLengths[288:], offsetSymbols[:], offsetBits)
		return nil
	case 2:
		f.block = blockCoded
		return f.codesHeader()
	}
	return errDeflate
}

// storedHeader reads the size of a block that is not compressed. It begins at a whole byte.
func (f *inflater) storedHeader() error {
	f.take(f.n & 7)
	if err := f.need(); err != nil {
		return err
	}
	size, check := f.take(16), f.take(16)
	if size^check != 0xffff {
		return errDeflate
	}
	f.unread()
	f.block, f.left = blockStored, size
	return nil
}

// stored copies what there is of a block that is not compressed.
func (f *inflater) stored() error {
	if f.left > 0 && f.pos >= f.end {
		if err := f.fill(); err != nil {
			return err
		}
		if f.end == 0 {
			return io.ErrUnexpectedEOF
		}
	}
	n := copy(f.out[f.w:], f.in[f.pos:min(f.end, f.pos+f.left)])
	f.w, f.pos, f.left = f.w+n, f.pos+n, f.left-n
	if f.left == 0 {
		f.block = blockNone
	}
	return nil
}

// order is the one in which the lengths of the codes of code lengths come.
var order = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codesHeader reads the lengths of the codes of a block (RFC 1951, 3.2.7).
func (f *inflater) codesHeader() error {
	nl, no, nc := f.take(5)+257, f.take(5)+1, f.take(4)+4
	if nl > 286 || no > 30 {
		return errDeflate
	}
	var codes [19]byte
	for _, c := range order[:nc] {
		if err := f.need(); err != nil {
			return err
		}
		codes[c] = byte(f.take(3))
	}
	t := &f.offsets // until it is needed itself
	if !t.build(codes[:], plainSymbols[:], 7) {
		return errDeflate
	}
	var all [286 + 30]byte
	for i := 0; i < nl+no; {
		if err := f.need(); err != nil {
			return err
		}
		e := t[f.bits&127]
		f.take(uint(e & codeSize))
		size, times := byte(e>>16), 1
		switch {
		case e&codeBad != 0 || size == 16 && i == 0:
			return errDeflate
		case size == 16:
			size, times = all[i-1], 3+f.take(2)
		case size == 17:
			size, times = 0, 3+f.take(3)
		case size == 18:
			size, times = 0, 11+f.take(7)
		}
		if times > nl+no-i {
			return errDeflate
		}
		for range times {
			all[i] = size
			i++
		}
	}
	if !f.lengths.build(all[:nl], lengthSymbols[:], lengthBits) || !f.offsets.build(all[nl:nl+no], offsetSymbols[:], offsetBits) {
		return errDeflate
	}
	return nil
}

// coded decodes symbols of a block until out is full or the block ends. Its variables are those of f, in registers. It is one
// long function, since a call for each symbol would cost more than the symbol does.
func (f *inflater) coded() (err error) {
	in, out, lengths, offsets := f.in, f.out, &f.lengths, &f.offsets
	bits, n, pos, w, limit := f.bits, f.n, f.pos, f.w, f.limit
	for w <= len(out)-outputSlack {
		if pos > limit {
			f.bits, f.n, f.pos, f.w = bits, n, pos, w
			if err := f.fill(); err != nil {
				return err
			}
			bits, n, pos, limit = f.bits, f.n, f.pos, f.limit
		}
		bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int((63 - n) >> 3)
		n |= 56
		e := lengths[bits&(1<<lengthBits-1)]
		if e&codeLiteral != 0 { // the bits are enough for three codes, and mostly several literals follow one another
			bits, n = bits>>(e&codeSize), n-uint(e&codeSize)
			out[w] = byte(e >> 16)
			w++
			e = lengths[bits&(1<<lengthBits-1)]
			if e&codeLiteral != 0 {
				bits, n = bits>>(e&codeSize), n-uint(e&codeSize)
				out[w] = byte(e >> 16)
				w++
				e = lengths[bits&(1<<lengthBits-1)]
				if e&codeLiteral != 0 {
					bits, n = bits>>(e&codeSize), n-uint(e&codeSize)
					out[w] = byte(e >> 16)
					w++
					continue
				}
			}
			bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
			pos += int((63 - n) >> 3)
			n |= 56
		}
		if e&codeLong != 0 {
			bits >>= lengthBits
			n -= lengthBits
			e = lengths[(e>>16+uint32(bits)&(1<<(e>>8&15)-1))%uint32(len(lengths))]
		}
		bits >>= e & codeSize
		n -= uint(e & codeSize)
		if e&(codeLiteral|codeEnd|codeBad) != 0 {
			if e&codeLiteral != 0 {
				out[w] = byte(e >> 16)
				w++
				continue
			}
			if f.block = blockNone; e&codeBad != 0 {
				err = errDeflate
			}
			break
		}
		extra := e >> 8 & 15
		length := int(e>>16 + uint32(bits)&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		e = offsets[bits&(1<<offsetBits-1)]
		if e&codeLong != 0 {
			bits >>= offsetBits
			n -= offsetBits
			e = offsets[(e>>16+uint32(bits)&(1<<(e>>8&15)-1))%uint32(len(offsets))]
		}
		bits >>= e & codeSize
		extra = e >> 8 & 15
		offset := int(e>>16 + uint32(bits)&(1<<extra-1))
		bits >>= extra
		n -= uint(e&codeSize + extra)
		if e&codeBad != 0 || offset > w-f.start {
			err = errDeflate
			break
		}
		repeat(out, w, offset, length)
		w += length
	}
	f.bits, f.n, f.pos, f.w = bits, n, pos, w
	return err
}

// repeat copies length bytes from offset bytes before w to w. What follows them may be overwritten as far as a unit.
func repeat(out []byte, w, offset, length int) {
	if offset >= copyUnit {
		for end := w + length; w < end; w += copyUnit {
			*(*[copyUnit]byte)(out[w:]) = *(*[copyUnit]byte)(out[w-offset:])
		}
		return
	}
	to := out[w : w+length]
	for n := copy(to, out[w-offset:w]); n < length; {
		n += copy(to[n:], to[:n])
	}
}
